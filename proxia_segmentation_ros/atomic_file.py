"""Files written so that a reader, or a crash, finds the old content or the new one."""

import os
from contextlib import suppress
from pathlib import Path


def write_file_atomically(path: Path, content: bytes, *, sync_to_disk: bool = False) -> None:
    """Write beside the file and rename; the folder is made if need be.

    With `sync_to_disk` it waits for the disk, so that no cut of power leaves an empty file.

    Raises:
        OSError: it can't be written; what was there is still there.
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
        # Where it can't be removed, why it can't be written is what matters.
        with suppress(OSError):
            partial.unlink(missing_ok=True)
