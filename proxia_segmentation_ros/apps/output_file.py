"""Write a file that a command was asked for."""

from pathlib import Path

from proxia_segmentation_ros.atomic_file import write_file_atomically
from proxia_segmentation_ros.errors import InputError


def write_output(path: Path, content: bytes, remedy: str = "choose another --out") -> None:
    """Write a file atomically: a crash leaves either the old file or the new one.

    Raises:
        InputError: the file can't be written.
    """
    try:
        write_file_atomically(path, content)
    except OSError as error:
        raise InputError.from_parts(
            f"{str(path)!r} can't be written ({error.strerror})",
            "a folder with room that is writable",
            remedy,
        ) from error
