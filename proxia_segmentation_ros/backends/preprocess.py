"""Check and resize camera images before the network; shared by all backends."""

import cv2
import numpy as np

from proxia_segmentation_ros.config import MIN_SIDE_PX, SizeHW
from proxia_segmentation_ros.errors import InputError


def check_image(image_HWC: np.ndarray) -> np.ndarray:
    """Return the image with contiguous rows.

    Raises:
        InputError: the image is not (H, W, 3) uint8 with sides of at least 16 pixels.
    """
    if not isinstance(image_HWC, np.ndarray):
        raise InputError.from_parts(
            f"the image is a {type(image_HWC).__name__}",
            "a numpy array (H, W, 3) of uint8, RGB",
            "convert it with numpy.asarray",
        )
    if image_HWC.ndim != 3 or image_HWC.shape[2] != 3:
        raise InputError.from_parts(
            f"the image has the shape {image_HWC.shape}",
            "(H, W, 3), RGB",
            "convert grey or RGBA images to RGB",
        )
    if image_HWC.dtype != np.uint8:
        raise InputError.from_parts(
            f"the image holds {image_HWC.dtype}", "uint8 from 0 to 255", "scale and convert it"
        )
    height, width = image_HWC.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        raise InputError.from_parts(
            f"the image is {width}x{height}",
            f"at least {MIN_SIDE_PX} pixels a side",
            "send a larger image",
        )
    return np.ascontiguousarray(image_HWC)


def resize_image(image_HWC: np.ndarray, size_hw: SizeHW) -> np.ndarray:
    """Resize to `size_hw`: halve even sides while at least twice too long, then bilinear.

    An odd side that is more than twice too long is resized by area averaging first. This is not
    part of the compiled graph: OpenCV works on bytes, with SIMD, without the GIL, and bilinear
    takes a fifth of the time of area averaging (docs/decisions/010-halving-then-bilinear.md).
    """
    while (half_hw := _halve(image_HWC.shape[:2], size_hw)) != image_HWC.shape[:2]:
        image_HWC = _resize(image_HWC, half_hw, cv2.INTER_LINEAR)
    sides_hw = image_HWC.shape[:2]
    shrunk_hw = tuple(min(pair) for pair in zip(sides_hw, size_hw, strict=True))
    if any(side > 2 * shrunk for side, shrunk in zip(sides_hw, shrunk_hw, strict=True)):
        # Bilinear would skip pixels and alias.
        image_HWC = _resize(image_HWC, shrunk_hw, cv2.INTER_AREA)
    return _resize(image_HWC, tuple(size_hw), cv2.INTER_LINEAR)


def _halve(sides_hw: tuple[int, ...], wanted_hw: SizeHW) -> tuple[int, ...]:
    """Return the sides, halved where they are even and at least twice too long.

    Bilinear sampling halfway between two pixels is their mean, so no pixel is skipped.
    """
    return tuple(
        side // 2 if side % 2 == 0 and side >= 2 * wanted else side
        for side, wanted in zip(sides_hw, wanted_hw, strict=True)
    )


def _resize(image_HWC: np.ndarray, size_hw: tuple[int, ...], method: int) -> np.ndarray:
    if image_HWC.shape[:2] == size_hw:
        return image_HWC
    return cv2.resize(image_HWC, size_hw[::-1], interpolation=method)
