"""Pairs of image and mask files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from proxia_segmentation_ros.data.dataset import Pair, PathPair
from proxia_segmentation_ros.data.png_ids import decode_mask
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.wire.compressed import decode_image_file

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm")
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")


def list_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files with one of the suffixes, sorted by name.

    Hidden files are left out: archives made on macOS hold a `._NAME` beside each file.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )


def index_by_stem(folder: Path, paths: list[Path], kind: str) -> dict[str, Path]:
    """Return the files by their names without suffix.

    Raises:
        InputError: two files have the same name, of which neither is known to be the right one.
    """
    by_stem: dict[str, Path] = {}
    for path in paths:
        if path.stem in by_stem:
            raise InputError.from_parts(
                f"{by_stem[path.stem].name!r} and {path.name!r} in {str(folder)!r} have one name",
                f"one {kind} of a name",
                "take one away or rename it",
            )
        by_stem[path.stem] = path
    return by_stem


def read_image(path: Path) -> np.ndarray:
    """Read an image file as image_HWC uint8 RGB, ignoring its EXIF orientation.

    Masks belong to the pixels as they are stored, so a rotated image would not match its mask.

    Raises:
        InputError: the file is missing, no image, truncated or damaged.
    """
    # Decoded from bytes, because OpenCV aborts the process on a file name that is not UTF-8.
    content = path.read_bytes() if path.is_file() else b""
    try:
        return decode_image_file(content)
    except InputError as error:
        raise InputError(f"image {str(path)!r} can't be read: {error}") from error


def read_ids(path: Path) -> np.ndarray:
    """Read the pixel values of a mask file, the palette indices where it has a palette.

    Raises:
        InputError: the file is missing, no PNG, BMP or TIFF whatever its name says, truncated, or
            has colours or transparent pixels.
    """
    content = path.read_bytes() if path.is_file() else b""
    try:
        mask = decode_mask(content)
    except InputError as error:
        raise InputError(f"mask {str(path)!r}: {error}") from error
    if mask is None:
        raise InputError.from_parts(
            f"mask {str(path)!r} can't be read ({describe_format(content)})",
            "a whole PNG, BMP or TIFF file of class ids",
            "check the file",
        )
    if mask.ndim == 3 and mask.shape[2] == 4:
        mask = _drop_alpha(mask, path)
    if mask.ndim == 3 and (mask[..., :1] == mask).all():
        # Three equal channels are grey values that were saved as colours.
        mask = np.ascontiguousarray(mask[..., 0])
    if mask.ndim != 2 or mask.dtype not in (np.uint8, np.uint16):
        raise InputError.from_parts(
            f"mask {str(path)!r} has the shape {mask.shape} of {mask.dtype}",
            "one channel of 8 or 16 bit class ids",
            "convert its colours to ids",
        )
    return mask


def describe_format(content: bytes) -> str:
    """Return what the first bytes of a file say about its format."""
    if content.startswith(b"\xff\xd8\xff"):
        return "it is a JPEG, whose compression changes ids"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "it is a WebP, whose compression may change ids"
    return f"{len(content)} bytes that start with {content[:8].hex(' ')}" if content else "no bytes"


def _drop_alpha(mask_HWC: np.ndarray, path: Path) -> np.ndarray:
    """Return the colour channels; refuse transparent pixels, whose id is not defined."""
    transparent = int((mask_HWC[..., 3] != np.iinfo(mask_HWC.dtype).max).sum())
    if transparent:
        raise InputError.from_parts(
            f"mask {str(path)!r} has {transparent} transparent pixels",
            "ids without transparency",
            "give those pixels the id that they mean and save without alpha",
        )
    return mask_HWC[..., :3]


def read_mask(path: Path, label_set: LabelSet) -> np.ndarray:
    """Read a mask file and map its source ids to class ids; return labels_HW.

    Raises:
        InputError: the file is missing, no image, or has colour channels.
    """
    return label_set.map_source(read_ids(path))


class PairFiles:
    """A data set of image files and mask files whose pixel values are source ids.

    With `keep_decoded` decoded pairs stay in memory, which suits small data sets.
    """

    def __init__(
        self,
        paths: Sequence[PathPair],
        label_set: LabelSet,
        *,
        name: str,
        is_coarse: bool = False,
        keep_decoded: bool = False,
    ) -> None:
        self.paths = paths
        self.label_set = label_set
        self.name = name
        self.is_coarse = is_coarse
        self._keep_decoded = keep_decoded
        self._decoded: dict[int, Pair] = {}

    @property
    def label_rules(self) -> Mapping[str, object]:
        """Return the settings besides the files that the labels depend on: none."""
        return {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Pair:
        """Return (image_HWC uint8 RGB, labels_HW) of one pair.

        Raises:
            InputError: a file can't be read, or mask and image differ in size.
        """
        if index in self._decoded:
            return self._decoded[index]
        image_path, mask_path = self.paths[index]
        image_HWC = read_image(image_path)
        labels_HW = self.read_labels(index)
        if image_HWC.shape[:2] != labels_HW.shape:
            raise InputError.from_parts(
                f"mask {str(mask_path)!r} is {labels_HW.shape} and its image "
                f"{image_HWC.shape[:2]} (rows, columns)",
                "the same size as they are stored, without EXIF orientation",
                "correct one of them",
            )
        if self._keep_decoded:
            self._decoded[index] = (image_HWC, labels_HW)
        return image_HWC, labels_HW

    def read_labels(self, index: int) -> np.ndarray:
        """Return labels_HW of one pair without reading its image."""
        return read_mask(self.paths[index][1], self.label_set)

    def list_label_files(self, index: int) -> Sequence[Path]:
        """Return every file that the labels of one pair are read from."""
        return (self.paths[index][1],)
