"""Cuts a pair so that every crop that `augment_pair` may take of it shows one given point."""

import math

import numpy as np

from proxia_segmentation_ros.data.augmentation import AugmentationSettings
from proxia_segmentation_ros.data.dataset import FocusedPair, Pair

# How far augment_pair may stretch one side of its window against the other.
LARGEST_STRETCH = math.exp(0.1)


def focus_crop(
    drawn: FocusedPair, settings: AugmentationSettings, rng: np.random.Generator
) -> tuple[Pair, AugmentationSettings]:
    """Return the part of a pair around its point, and settings of the one scale drawn for it.

    The part is as large as it can be while every window of that scale inside of it holds the
    point, so the point comes to lie anywhere in the crop.
    """
    if drawn.focus_xy is None:
        return (drawn.image_HWC, drawn.labels_HW), settings
    scale = math.exp(rng.uniform(math.log(settings.scale_min), math.log(settings.scale_max)))
    x, y = drawn.focus_xy
    smallest = LARGEST_STRETCH * scale
    crop_height, crop_width = settings.crop_hw
    rows = _span(y, math.floor(crop_height / smallest))
    columns = _span(x, math.floor(crop_width / smallest))
    part = (drawn.image_HWC[rows, columns], drawn.labels_HW[rows, columns])
    return part, settings.model_copy(update={"scale_min": scale, "scale_max": scale})


def _span(centre: int, window: int) -> slice:
    """Return what all windows of this length that hold the centre cover."""
    reach = max(window, 1)
    return slice(max(centre - reach + 1, 0), centre + reach)
