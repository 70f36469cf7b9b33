"""A file that a command writes is whole, or it is not there."""

from pathlib import Path

import pytest

from proxia_segmentation_ros.apps.output_file import write_output
from proxia_segmentation_ros.errors import InputError


def test_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "a.png"
    write_output(path, b"old")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InputError, match="No space left"):
        write_output(path, b"newer")
    assert path.read_bytes() == b"old"
    assert [path_found.name for path_found in path.parent.iterdir()] == ["a.png"]


def test_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match=r"out/a\.png"):
        write_output(tmp_path / "out" / "a.png", b"content")
