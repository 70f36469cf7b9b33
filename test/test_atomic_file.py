"""Files written in one step."""

from pathlib import Path

import pytest

from proxia_segmentation_ros.atomic_file import write_file_atomically


@pytest.mark.parametrize("sync_to_disk", [False, True])
def test_file_is_replaced_and_nothing_else_stays(tmp_path: Path, sync_to_disk: bool) -> None:
    path = tmp_path / "new" / "file.bin"
    for content in (b"first", b"second, and longer"):
        write_file_atomically(path, content, sync_to_disk=sync_to_disk)
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_old_content_stays_where_the_new_can_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_file_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileExistsError):
        write_file_atomically(tmp_path / "file" / "below", b"new")
