"""TensorBoard files of a run."""

import builtins
from pathlib import Path
from typing import Any

import pytest

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.training.logs.run_log import RunLog


def test_missing_tensorboard_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *further: Any, **named: Any) -> Any:
        if name.startswith(("tensorboard", "torch.utils.tensorboard")):
            raise ImportError(name)
        return real(name, *further, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    log = RunLog(tmp_path, lambda row: None, with_event_files=True)
    with pytest.raises(ConfigError, match="pip install tensorboard"):
        log.begin(0)
    RunLog(tmp_path, lambda row: None, is_silent=True, with_event_files=True).begin(0)


def test_event_files_hold_the_numbers_of_the_log(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = RunLog(tmp_path, lambda row: None, with_event_files=True)
    log.begin(0)
    log.add({"step": 20, "loss": 1.5})
    log.add({"step": 30, "val_miou": 0.25, "folder_iou": [0.1], "note": "x"})
    log.add({"step": 40, "loss": 1.0})
    log.begin(30)  # resumed from step 30: what came after it comes again
    log.add({"step": 40, "loss": 0.5})
    log.end()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    losses = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert losses == [(20, 1.5), (40, 0.5)]
    assert [(event.step, event.value) for event in events.Scalars("val/val_miou")] == [(30, 0.25)]
    assert set(events.Tags()["scalars"]) == {"train/loss", "val/val_miou"}


def test_event_files_of_a_killed_run_hold_what_its_log_holds(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = RunLog(tmp_path, lambda row: None, with_event_files=True)
    log.begin(0)
    log.add({"step": 20, "loss": 1.5})
    events = EventAccumulator(str(tmp_path / "tensorboard"))  # neither end nor time has come
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [20]
    log.end()
