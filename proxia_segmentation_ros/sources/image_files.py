"""Find the image files under a path, and say why other files are not images."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from proxia_segmentation_ros.data.pair_files import IMAGE_SUFFIXES
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.sources.frame_sources import sort_naturally
from proxia_segmentation_ros.wire.compressed import decode_image_file

NO_IMAGE = "no image: not a format that OpenCV can read"


@dataclass(frozen=True)
class InputFile:
    """A file, and its folder relative to the path that was asked for.

    `skip_reason` says why the file can't be read as an image; empty if it can. `is_other_file`
    is true where the name does not claim to be an image either, such as a text file.
    """

    path: Path
    folder: Path = Path()
    skip_reason: str = ""
    is_other_file: bool = False

    @property
    def display_name(self) -> str:
        """The name for messages."""
        return os.fsencode((self.folder / self.path.name).as_posix()).decode(errors="replace")


def list_inputs(
    path: Path, *, recursive: bool = False, without: Path | None = None
) -> list[InputFile]:
    """Return the file itself, or the files of a folder in natural order, without hidden files.

    `recursive` includes the files of subfolders, except those of the folder `without`.

    Raises:
        InputError: the path does not exist, or the folder is empty.
    """
    if path.is_file():
        return [_inspect(path, Path())]
    if not path.is_dir():
        raise InputError.from_parts(
            f"{str(path)!r} does not exist", "an image or a folder of images", "check the path"
        )
    seen = {without.resolve()} if without is not None else set()
    files = list(_walk(path, Path(), recursive, seen))
    if not files:
        remedy = "check the path" if recursive else "check the path, or add --recursive"
        raise InputError.from_parts(f"folder {str(path)!r} is empty", "images", remedy)
    return files


def read_image_file(path: Path, *, as_stored: bool = False) -> np.ndarray:
    """Read an image file as uint8 RGB (H, W, 3), the first image if there are several.

    The EXIF orientation is applied unless `as_stored`; masks belong to the stored pixels.

    Raises:
        InputError: the file can't be read or decoded, is truncated or damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(error) from error
    return decode_image_file(content, as_stored=as_stored)


@contextmanager
def silence_opencv() -> Iterator[None]:
    """Suppress OpenCV's log messages about broken files until the block ends."""
    logging = cv2.utils.logging
    before = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)


def _walk(root: Path, folder: Path, recursive: bool, seen: set[Path]) -> Iterator[InputFile]:
    """Yield the files of `root / folder` and, if `recursive`, of its subfolders.

    A folder that can be reached twice through links is visited once, so that loops end.
    """
    place = root / folder
    resolved = place.resolve()
    if resolved in seen:
        return
    seen.add(resolved)
    try:
        entries = [entry for entry in place.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        yield InputFile(place, folder.parent, str(_unreadable(error)))
        return
    entries.sort(key=lambda entry: sort_naturally(entry.name))
    folders = [entry for entry in entries if entry.is_dir()]
    for entry in entries:
        if entry not in folders:
            yield _inspect(entry, folder)
    for subfolder in folders if recursive else []:
        yield from _walk(root, folder / subfolder.name, True, seen)


def _inspect(path: Path, folder: Path) -> InputFile:
    """Check the content of a file, because its name may be wrong."""
    claims_image = path.suffix.lower() in IMAGE_SUFFIXES
    if not path.is_file():
        what = "a link to nothing" if path.is_symlink() else "no file"
        return InputFile(path, folder, f"no image: {what}", is_other_file=not claims_image)
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except OSError as error:
        return InputFile(path, folder, str(_unreadable(error)))
    if _has_reader(path):
        return InputFile(path, folder)
    skip_reason = "no image: the file is empty" if is_empty else NO_IMAGE
    return InputFile(path, folder, skip_reason, is_other_file=not claims_image)


def _has_reader(path: Path) -> bool:
    """Whether OpenCV can read the file; assumed if its name is not UTF-8.

    OpenCV aborts the process on such names; the file is decoded from its bytes later.
    """
    name = os.fspath(path)
    is_utf8 = name.encode(errors="replace") == os.fsencode(name)
    return not is_utf8 or cv2.haveImageReader(name)


def _unreadable(error: OSError) -> InputError:
    return InputError.from_parts(
        f"can't be read ({error.strerror})", "a file that may be read", "change its rights"
    )
