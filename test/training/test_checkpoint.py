"""Checkpoints of a run: whole or not there, and nothing in them runs."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.training.checkpoint import load_checkpoint, save_checkpoint


class Malice:
    """Makes a folder when it is unpickled by whoever trusts it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_state_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.pt"
    weight = torch.arange(6.0).reshape(2, 3)
    save_checkpoint(path, {"model": {"weight": weight}, "step": 7, "best": {"val_miou": 0.5}})
    state = load_checkpoint(path)
    assert torch.equal(state["model"]["weight"], weight)
    assert (state["step"], state["best"]) == (7, {"val_miou": 0.5})


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"model": {}, "step": 1})

    def fail(descriptor: int) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="no space left"):
            save_checkpoint(path, {"model": {}, "step": 2})
    assert load_checkpoint(path)["step"] == 1
    save_checkpoint(path, {"model": {}, "step": 3})
    assert load_checkpoint(path)["step"] == 3
    assert [found.name for found in tmp_path.iterdir()] == ["last.pt"]


def test_objects_in_a_checkpoint_are_not_made(tmp_path: Path) -> None:
    path, target = tmp_path / "last.pt", tmp_path / "made"
    torch.save({"model": Malice(target), "step": 1}, path)
    with pytest.raises(WeightsError, match="can't be read"):
        load_checkpoint(path)
    assert not target.exists()
