"""Which file a name of weights stands for."""

from pathlib import Path

import pytest

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.lookup import find_weights, list_shipped_weights


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Look for downloaded weights, and from here, in an empty folder."""
    monkeypatch.setenv("PROXIA_WEIGHTS_DIR", str(tmp_path / "downloaded"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_shipped_name_is_a_file() -> None:
    names = list_shipped_weights()
    assert {"default", "synthetic"} <= set(names)
    assert all(find_weights(name).is_file() for name in names)


def test_shipped_name_goes_before_a_file_of_that_name(folder: Path) -> None:
    (folder / "default").write_text("not it")
    assert find_weights("default").name == "default.safetensors"


@pytest.mark.parametrize("name", ["mine.safetensors", "theirs.pth", "theirs.pt", "theirs.tar"])
def test_path_of_a_weight_file_is_taken(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    assert find_weights(name) == Path(name)
    assert find_weights(folder / name) == folder / name


def test_tilde_is_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    (folder / "mine.safetensors").write_bytes(b"")
    assert find_weights("~/mine.safetensors") == folder / "mine.safetensors"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nonsense", "weights 'nonsense' are not shipped; expected one of .*default"),
        ("hr18s-cityscapes", "run `proxia weights download hr18s-cityscapes`"),
        ("gone.safetensors", "'gone.safetensors' does not exist"),
        ("some/folder", "'some/folder' does not exist"),
        ("notes.txt", "'notes.txt' is not a weight file"),
    ],
)
def test_what_is_no_weight_file_is_told(folder: Path, name: str, sentence: str) -> None:
    (folder / "notes.txt").write_text("x")
    with pytest.raises(WeightsError, match=sentence):
        find_weights(name)
