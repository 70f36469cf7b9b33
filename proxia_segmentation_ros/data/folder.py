"""A folder of images beside a folder of masks with the same file names."""

from pathlib import Path

import cv2
import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import LabelSet

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def read_image(path: Path) -> np.ndarray:
    """Read an image file as image_HWC uint8 RGB.

    Raises:
        InputError: the file is missing or no image.
    """
    image_bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image_bgr is None:
        raise InputError.from_parts(
            f"image {str(path)!r} can't be read", "a PNG or JPEG file", "check the file"
        )
    return np.ascontiguousarray(image_bgr[..., ::-1])


def read_mask(path: Path, label_set: LabelSet) -> np.ndarray:
    """Read a mask file and map its source ids; returns labels_HW.

    Raises:
        InputError: the file is missing, no image, or has colour channels.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if mask is None:
        raise InputError.from_parts(
            f"mask {str(path)!r} can't be read", "a PNG file of class ids", "check the file"
        )
    if mask.ndim != 2 or mask.dtype not in (np.uint8, np.uint16):
        raise InputError.from_parts(
            f"mask {str(path)!r} has the shape {mask.shape} of {mask.dtype}",
            "one channel of 8 or 16 bit class ids",
            "convert its colours to ids",
        )
    return label_set.map_source(mask)


class ImageMaskFolder:
    """Pairs of image and mask, in the order of their file names.

    Decoded pairs stay in memory (`keep_decoded`), which suits small data sets.
    """

    def __init__(
        self, images: Path, masks: Path, label_set: LabelSet, *, keep_decoded: bool = False
    ) -> None:
        self.label_set = label_set
        self._keep_decoded = keep_decoded
        self._decoded: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.paths = _pair_files(images, masks)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (image_HWC uint8 RGB, labels_HW) of one pair."""
        if index in self._decoded:
            return self._decoded[index]
        image_path, mask_path = self.paths[index]
        image_HWC = read_image(image_path)
        labels_HW = read_mask(mask_path, self.label_set)
        if image_HWC.shape[:2] != labels_HW.shape:
            raise InputError.from_parts(
                f"mask {str(mask_path)!r} is {labels_HW.shape} and its image "
                f"{image_HWC.shape[:2]} (rows, columns)",
                "the same size",
                "correct one of them",
            )
        if self._keep_decoded:
            self._decoded[index] = (image_HWC, labels_HW)
        return image_HWC, labels_HW


def _pair_files(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    for folder in (images, masks):
        if not folder.is_dir():
            raise InputError.from_parts(
                f"folder {str(folder)!r} does not exist",
                "a folder of images and one of masks",
                "check the path",
            )
    masks_by_stem = {path.stem: path for path in masks.iterdir()}
    found = sorted(path for path in images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise InputError.from_parts(
            f"folder {str(images)!r} holds no image",
            f"files that end in {', '.join(IMAGE_SUFFIXES)}",
            "check the path",
        )
    missing = [path.name for path in found if path.stem not in masks_by_stem]
    if missing:
        raise InputError.from_parts(
            f"{len(missing)} of {len(found)} images have no mask in {str(masks)!r}, "
            f"first {missing[0]!r}",
            "a mask of the same file name for every image",
            "add the masks or remove the images",
        )
    return [(path, masks_by_stem[path.stem]) for path in found]
