"""RandAugment for image and labels: random operations at one magnitude.

Source: Cubuk et al. 2019, "RandAugment", arXiv 1909.13719. Colour operations use pillow and change
only the image; geometric operations use OpenCV and move image and labels alike. No library: those
of torchvision and kornia draw from torch's global generator, and a pair must be a function of its
own seed (docs/decisions/003-randaugment.md).
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from proxia_segmentation_ros.data.augmentation.settings import (
    LARGEST_MAGNITUDE,
    RandAugmentSettings,
)
from proxia_segmentation_ros.data.dataset import Pair

Recolour: TypeAlias = Callable[[Image.Image, float], Image.Image]
# From a value and (height, width) to the 2x3 matrix that moves a pixel (x, y).
MakeMatrix: TypeAlias = Callable[[float, tuple[int, int]], np.ndarray]


class _Colours(NamedTuple):
    weakest: float
    strongest: float
    change: Recolour


class _Geometry(NamedTuple):
    """Half of the draws negate the value, which reverses the direction."""

    weakest: float
    strongest: float
    make_matrix: MakeMatrix


def _affine(*rows: tuple[float, float, float]) -> np.ndarray:
    return np.array(rows, np.float64)


def _shear_x(value: float, size_hw: tuple[int, int]) -> np.ndarray:  # noqa: ARG001
    return _affine((1, value, 0), (0, 1, 0))


def _shear_y(value: float, size_hw: tuple[int, int]) -> np.ndarray:  # noqa: ARG001
    return _affine((1, 0, 0), (value, 1, 0))


def _translate_x(value: float, size_hw: tuple[int, int]) -> np.ndarray:
    return _affine((1, 0, value * size_hw[1]), (0, 1, 0))


def _translate_y(value: float, size_hw: tuple[int, int]) -> np.ndarray:
    return _affine((1, 0, 0), (0, 1, value * size_hw[0]))


def _rotate(value: float, size_hw: tuple[int, int]) -> np.ndarray:
    centre_xy = ((size_hw[1] - 1) / 2, (size_hw[0] - 1) / 2)
    return cv2.getRotationMatrix2D(centre_xy, value, 1)


# Shears keep the top row or left column in place. Translations are shares of the crop, rotations
# degrees. The last three blend with a grey, a black and a blurred image; 1 is the original.
OPERATIONS: dict[str, _Colours | _Geometry | None] = {
    "identity": None,
    "shear_x": _Geometry(0, 0.3, _shear_x),
    "shear_y": _Geometry(0, 0.3, _shear_y),
    "translate_x": _Geometry(0, 0.33, _translate_x),
    "translate_y": _Geometry(0, 0.33, _translate_y),
    "rotate": _Geometry(0, 30, _rotate),
    "autocontrast": _Colours(0, 1, lambda image, _: ImageOps.autocontrast(image)),
    "invert": _Colours(0, 1, lambda image, _: ImageOps.invert(image)),
    "equalize": _Colours(0, 1, lambda image, _: ImageOps.equalize(image)),
    "solarize": _Colours(0, 110, lambda image, value: ImageOps.solarize(image, math.floor(value))),
    "posterize": _Colours(4, 8, lambda image, value: ImageOps.posterize(image, int(value))),
    "colour": _Colours(0.1, 1.9, lambda image, value: ImageEnhance.Color(image).enhance(value)),
    "brightness": _Colours(
        0.1, 1.9, lambda image, value: ImageEnhance.Brightness(image).enhance(value)
    ),
    "sharpness": _Colours(
        0.1, 1.9, lambda image, value: ImageEnhance.Sharpness(image).enhance(value)
    ),
}


def apply_randaugment(
    image_HWC: np.ndarray,
    labels_HW: np.ndarray,
    settings: RandAugmentSettings,
    rng: np.random.Generator,
    *,
    unlabeled_id: int,
) -> Pair:
    """Return the pair after `settings.operations` random operations, drawn with replacement.

    Pixels from outside the image are black and unlabeled.
    """
    pair = image_HWC, labels_HW
    names = list(OPERATIONS)
    for drawn in rng.integers(len(names), size=settings.operations):
        is_turned = bool(rng.random() < 0.5)
        pair = apply_operation(
            pair,
            names[drawn],
            settings.magnitude,
            is_turned=is_turned,
            unlabeled_id=unlabeled_id,
        )
    return pair


def apply_operation(
    pair: Pair, name: str, magnitude: float, *, is_turned: bool, unlabeled_id: int
) -> Pair:
    """Return the pair after one operation; `is_turned` reverses the direction of geometry."""
    operation = OPERATIONS[name]
    if operation is None:
        return pair
    share = magnitude / LARGEST_MAGNITUDE
    value = operation.weakest + share * (operation.strongest - operation.weakest)
    image_HWC, labels_HW = pair
    if isinstance(operation, _Colours):
        return np.array(operation.change(Image.fromarray(image_HWC), value)), labels_HW
    height, width = labels_HW.shape
    matrix = operation.make_matrix(-value if is_turned else value, (height, width))
    size_wh = (width, height)
    return (
        cv2.warpAffine(image_HWC, matrix, size_wh, flags=cv2.INTER_LINEAR),
        cv2.warpAffine(
            labels_HW, matrix, size_wh, flags=cv2.INTER_NEAREST, borderValue=[unlabeled_id]
        ),
    )
