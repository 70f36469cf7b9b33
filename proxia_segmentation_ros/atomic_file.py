"""Atomic file writes: readers, also after a crash, find the old content or the new content."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def open_atomically(
    path: Path, *, sync_to_disk: bool = False, partial: Path | None = None
) -> Iterator[BinaryIO]:
    """Open a file to write that takes the place of `path` at the end; creates the folder.

    What is written goes to `partial`, by default a hidden file with the number of this process in
    the same folder. `sync_to_disk` calls fsync, so that a power cut can't leave an empty file.

    Raises:
        OSError: the file can't be written; the old content is unchanged.
    """
    partial = partial or path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            if sync_to_disk:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        # The error of writing matters more than one of cleaning up.
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_file_atomically(path: Path, content: bytes, *, sync_to_disk: bool = False) -> None:
    """Write `content` as `open_atomically` does.

    Raises:
        OSError: the file can't be written; the old content is unchanged.
    """
    with open_atomically(path, sync_to_disk=sync_to_disk) as file:
        file.write(content)
