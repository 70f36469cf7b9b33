"""Pairs of image and mask files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from proxia_segmentation_ros.data.dataset import Pair, PathPair
from proxia_segmentation_ros.data.png_ids import decode_mask
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import LabelSet

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")


def list_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files that end so, in the order of their names.

    Hidden ones are left out: archives made on macOS hold a `._NAME` beside each file.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )


def read_image(path: Path) -> np.ndarray:
    """Read an image file as image_HWC uint8 RGB, in the layout that it is stored in.

    Masks are laid over the stored pixels: an image that its EXIF orientation turned would not fit
    its mask any more.

    Raises:
        InputError: the file is missing or no image.
    """
    # By its bytes: OpenCV ends the process over a name that is no UTF-8.
    content = path.read_bytes() if path.is_file() else b""
    mode = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image_bgr = cv2.imdecode(np.frombuffer(content, np.uint8), mode) if content else None
    if image_bgr is None:
        raise InputError.from_parts(
            f"image {str(path)!r} can't be read", "a PNG or JPEG file", "check the file"
        )
    return np.ascontiguousarray(image_bgr[..., ::-1])


def read_ids(path: Path) -> np.ndarray:
    """Read a mask file's pixel values; of a palette PNG its indices.

    Raises:
        InputError: the file is missing, no image, or has colours or transparent pixels.
    """
    mask = decode_mask(path.read_bytes()) if path.is_file() else None
    if mask is None:
        raise InputError.from_parts(
            f"mask {str(path)!r} can't be read", "a PNG file of class ids", "check the file"
        )
    if mask.ndim == 3 and mask.shape[2] == 4:
        mask = _drop_alpha(mask, path)
    if mask.ndim == 3 and (mask[..., :1] == mask).all():
        # Grey values saved as colours say the same ids.
        mask = np.ascontiguousarray(mask[..., 0])
    if mask.ndim != 2 or mask.dtype not in (np.uint8, np.uint16):
        raise InputError.from_parts(
            f"mask {str(path)!r} has the shape {mask.shape} of {mask.dtype}",
            "one channel of 8 or 16 bit class ids",
            "convert its colours to ids",
        )
    return mask


def _drop_alpha(mask_HWC: np.ndarray, path: Path) -> np.ndarray:
    """Return the other channels; what a transparent pixel is the file does not say."""
    transparent = int((mask_HWC[..., 3] != np.iinfo(mask_HWC.dtype).max).sum())
    if transparent:
        raise InputError.from_parts(
            f"mask {str(path)!r} has {transparent} transparent pixels",
            "ids without transparency",
            "give those pixels the id that they mean and save without alpha",
        )
    return mask_HWC[..., :3]


def read_mask(path: Path, label_set: LabelSet) -> np.ndarray:
    """Read a mask file and map its source ids; returns labels_HW.

    Raises:
        InputError: the file is missing, no image, or has colour channels.
    """
    return label_set.map_source(read_ids(path))


class PairFiles:
    """A data set of image files and mask files whose pixel values are source ids.

    Decoded pairs stay in memory (`keep_decoded`), which suits small data sets.
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
        """Return the settings that change the labels of the same files: none."""
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
                "the same size, in the layout that is stored: EXIF orientation turns none of them",
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
