"""The catalogue of published weights says nothing that can't be."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.catalogue import (
    CatalogueEntry,
    find_weights_folder,
    read_catalogue,
)
from proxia_segmentation_ros.model.lookup import find_weights, list_shipped_weights
from proxia_segmentation_ros.model.network.hrnet_ocr import build_model

ENTRIES = tuple(read_catalogue().values())


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_entry_fits_its_network(entry: CatalogueEntry) -> None:
    with torch.device("meta"):
        network = build_model(entry.architecture, entry.classes)
    assert sum(parameter.numel() for parameter in network.parameters()) == entry.parameters
    assert all(side % 32 == 0 for side in entry.size_hw)
    assert all(0 < score < 1 for score in entry.scores.values())
    assert entry.name not in list_shipped_weights()


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
def test_address_ends_in_the_file_and_the_file_in_its_hash(entry: CatalogueEntry) -> None:
    if entry.url is None:
        assert entry.sha256 == ""
        return
    assert entry.url.endswith("/" + entry.file)
    assert len(entry.sha256) == 8
    assert entry.file.endswith(f"-{entry.sha256}.pth")


def test_names_are_told_apart() -> None:
    assert len({entry.file for entry in ENTRIES}) == len(ENTRIES)


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://example.org/a.pth"},
        {"sha256": "xyz"},
        {"file": "../a.pth"},
        {"name": "a/b"},
        {"colour": "red"},
    ],
)
def test_unsafe_entry_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        CatalogueEntry.model_validate(ENTRIES[0].model_dump() | change)


def test_folder_follows_the_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PROXIA_WEIGHTS_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert find_weights_folder() == tmp_path / "xdg" / "proxia_segmentation_ros" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_weights_folder() == tmp_path / ".cache" / "proxia_segmentation_ros" / "weights"
    monkeypatch.setenv("PROXIA_WEIGHTS_DIR", str(tmp_path / "own"))
    assert find_weights_folder() == tmp_path / "own"


def test_user_without_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("PROXIA_WEIGHTS_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", fail)
    with pytest.raises(WeightsError, match="set PROXIA_WEIGHTS_DIR"):
        find_weights_folder()


def test_name_that_is_not_here_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROXIA_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(WeightsError) as caught:
        find_weights("hr18-ade20k")
    assert str(caught.value) == (
        "weights 'hr18-ade20k' are not on this machine yet; expected "
        f"{tmp_path}/hr18-ade20k.safetensors; run `proxia weights download hr18-ade20k`"
    )
    (tmp_path / "hr18-ade20k.safetensors").touch()
    assert find_weights("hr18-ade20k") == tmp_path / "hr18-ade20k.safetensors"
