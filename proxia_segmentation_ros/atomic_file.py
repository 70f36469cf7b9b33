"""Atomic file writes: readers, also after a crash, find the old content or the new content."""

import os
from contextlib import suppress
from pathlib import Path


def write_file_atomically(path: Path, content: bytes, *, sync_to_disk: bool = False) -> None:
    """Write a temporary file in the same folder and rename it; creates the folder if necessary.

    `sync_to_disk` calls fsync, so that a power cut can't leave an empty file.

    Raises:
        OSError: the file can't be written; the old content is unchanged.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            if sync_to_disk:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        # The error of writing matters more than one of cleaning up.
        with suppress(OSError):
            partial.unlink(missing_ok=True)
