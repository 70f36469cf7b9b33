"""Files written so that a reader, or a crash, finds the old content or the new one."""

import os
from contextlib import suppress
from pathlib import Path


def write_whole_file(path: Path, content: bytes, *, outlives_power: bool = False) -> None:
    """Write beside the file and rename; the folder is made if need be.

    With `outlives_power` it waits for the disk, so that no cut of power leaves an empty file.

    Raises:
        OSError: it can't be written; what was there is still there.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            if outlives_power:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        # Where it can't be removed, why it can't be written is what matters.
        with suppress(OSError):
            partial.unlink(missing_ok=True)
