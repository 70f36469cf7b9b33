"""Cut a random window out of a pair and scale it to the training crop."""

import math

import cv2
import numpy as np
from PIL import Image

from proxia_segmentation_ros.data.augmentation.settings import AugmentationSettings
from proxia_segmentation_ros.data.dataset import FocusedPair, Pair


def crop_scaled(
    drawn: FocusedPair,
    settings: AugmentationSettings,
    rng: np.random.Generator,
    *,
    unlabeled_id: int,
) -> Pair:
    """Return a random crop of `settings.crop_hw` that contains the pair's point, if it has one.

    The crop stays inside the image. Only an image smaller than the crop's window is padded, with
    black and the unlabeled id.
    """
    image_HWC, labels_HW, focus_xy = drawn
    scale = _draw_scale(settings, rng)
    stretch = math.exp(rng.uniform(-settings.stretch, settings.stretch))
    height, width = labels_HW.shape
    crop_height, crop_width = settings.crop_hw
    source_height = max(1, round(crop_height / (scale * stretch)))
    source_width = max(1, round(crop_width / (scale / stretch)))
    x, y = focus_xy or (None, None)
    top = _draw_offset(height, source_height, y, rng)
    left = _draw_offset(width, source_width, x, rng)
    window = (
        slice(max(top, 0), min(top + source_height, height)),
        slice(max(left, 0), min(left + source_width, width)),
    )
    borders = (
        max(-top, 0),
        max(top + source_height - height, 0),
        max(-left, 0),
        max(left + source_width - width, 0),
    )
    # Cutting before scaling avoids resizing pixels that are cut off anyway.
    image_HWC, labels_HW = image_HWC[window], labels_HW[window]
    if any(borders):
        image_HWC = cv2.copyMakeBorder(image_HWC, *borders, cv2.BORDER_CONSTANT)
        labels_HW = cv2.copyMakeBorder(
            labels_HW, *borders, cv2.BORDER_CONSTANT, value=[unlabeled_id]
        )
    size_wh = (crop_width, crop_height)
    return (
        _scale_image(image_HWC, size_wh, scale, settings, rng),
        cv2.resize(labels_HW, size_wh, interpolation=cv2.INTER_NEAREST_EXACT),
    )


def _draw_scale(settings: AugmentationSettings, rng: np.random.Generator) -> float:
    if settings.scale_spacing == "linear":
        return float(rng.uniform(settings.scale_min, settings.scale_max))
    return math.exp(rng.uniform(math.log(settings.scale_min), math.log(settings.scale_max)))


def _draw_offset(length: int, window: int, focus: int | None, rng: np.random.Generator) -> int:
    """Return the start of the window, below 0 if it is longer than the image."""
    low, high = sorted((0, length - window))
    if focus is not None and window < length:
        low, high = max(low, focus - window + 1), min(high, focus)
    return int(rng.integers(low, high + 1))


def _scale_image(
    image_HWC: np.ndarray,
    size_wh: tuple[int, int],
    scale: float,
    settings: AugmentationSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    if settings.interpolation == "bicubic":
        # Pillow's bicubic filter widens when it shrinks an image, which avoids aliasing; that of
        # OpenCV does not.
        scaled = Image.fromarray(image_HWC).resize(size_wh, Image.Resampling.BICUBIC)
        return np.array(scaled)
    interpolation = cv2.INTER_LINEAR if scale >= 1 or rng.random() < 0.5 else cv2.INTER_AREA
    return cv2.resize(image_HWC, size_wh, interpolation=interpolation)
