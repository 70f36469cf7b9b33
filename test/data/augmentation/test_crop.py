"""The window that becomes a training crop."""

import math

import numpy as np
import pytest

from proxia_segmentation_ros.data.augmentation.crop import crop_scaled
from proxia_segmentation_ros.data.augmentation.settings import AugmentationSettings
from proxia_segmentation_ros.data.dataset import FocusedPair

SIZE_HW = (120, 160)
CROP = AugmentationSettings(crop_hw=(24, 32), scale_min=0.5, scale_max=2.0)
SEEDS = range(150)


def make_pair(
    focus_xy: tuple[int, int] | None, *, size_hw: tuple[int, int] = SIZE_HW
) -> FocusedPair:
    """Label the point and as much around it as no scale passes over."""
    labels_HW = np.zeros(size_hw, np.uint8)
    if focus_xy is not None:
        x, y = focus_xy
        labels_HW[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = 1
    return FocusedPair(np.full((*size_hw, 3), 200, np.uint8), labels_HW, focus_xy)


def draw_labels(drawn: FocusedPair, settings: AugmentationSettings = CROP) -> list[np.ndarray]:
    return [
        crop_scaled(drawn, settings, np.random.default_rng(seed), unlabeled_id=255)[1]
        for seed in SEEDS
    ]


@pytest.mark.parametrize("x", [0, 1, 5, 11, 80, 150, 158, 159])
@pytest.mark.parametrize("y", [0, 1, 4, 9, 60, 112, 118, 119])
def test_crop_shows_its_point_and_no_padding_while_the_image_goes_on(x: int, y: int) -> None:
    for labels_HW in draw_labels(make_pair((x, y))):
        assert labels_HW.shape == (24, 32)
        assert (labels_HW == 1).any()
        assert not (labels_HW == 255).any()


@pytest.mark.parametrize("focus_xy", [(0, 0), (19, 0), (9, 7), (19, 14)])
def test_whole_of_a_smaller_image_lies_in_its_padding(focus_xy: tuple[int, int]) -> None:
    settings = CROP.model_copy(update={"scale_min": 1.0, "scale_max": 1.01, "stretch": 0.0})
    for labels_HW in draw_labels(make_pair(focus_xy, size_hw=(15, 20)), settings):
        assert (labels_HW == 1).any()
        assert 270 <= (labels_HW != 255).sum() <= 340


def test_image_of_one_short_side_is_padded_along_it_alone() -> None:
    settings = CROP.model_copy(update={"scale_min": 1.0, "scale_max": 1.01})
    for labels_HW in draw_labels(make_pair((3, 7), size_hw=(15, 160)), settings):
        assert (labels_HW == 1).any()
        padded_HW = labels_HW == 255
        assert padded_HW.any()
        assert (padded_HW.any(axis=1) == padded_HW.all(axis=1)).all()


def measure_scales(settings: AugmentationSettings) -> np.ndarray:
    """Return (height, width) scales by the pixels that a step of one makes in the crop."""
    rows_HW = np.repeat(np.arange(SIZE_HW[0] * 4)[:, None], SIZE_HW[1] * 4, 1)
    columns_HW = np.repeat(np.arange(SIZE_HW[1] * 4)[None], SIZE_HW[0] * 4, 0)
    scales = []
    for seed in SEEDS:
        found = []
        for ids_HW, size, axis in ((rows_HW, 24, 0), (columns_HW, 32, 1)):
            drawn = FocusedPair(np.zeros((*ids_HW.shape, 3), np.uint8), ids_HW.astype(np.uint16))
            rng = np.random.default_rng(seed)
            crop = crop_scaled(drawn, settings, rng, unlabeled_id=65535)[1].astype(int)
            found.append(size / (np.ptp(crop, axis=axis).max() + 1))
        scales.append(found)
    return np.array(scales)


def test_scales_are_drawn_in_their_range_and_spacing() -> None:
    wide = {"scale_min": 0.5, "scale_max": 2.0, "stretch": 0.0}
    log = measure_scales(CROP.model_copy(update=wide))
    linear = measure_scales(CROP.model_copy(update={**wide, "scale_spacing": "linear"}))
    for scales in (log, linear):
        assert scales.min() > 0.45
        assert scales.max() < 2.3
    # Half of the draws lie below 1 by logarithm, a third by the scale itself.
    assert 0.35 < (log[:, 1] < 1).mean() < 0.6
    assert (linear[:, 1] < 1).mean() < 0.75 * (log[:, 1] < 1).mean()


def test_stretch_changes_one_side_against_the_other() -> None:
    still = {"scale_min": 0.5, "scale_max": 0.501}
    one, two = (
        measure_scales(CROP.model_copy(update={**still, "stretch": stretch}))
        for stretch in (0.0, 0.3)
    )
    assert np.abs(np.log(one[:, 0] / one[:, 1])).max() < 0.05
    largest = np.abs(np.log(two[:, 0] / two[:, 1])).max()
    assert 0.4 < largest < 2 * 0.3 + 0.05
    assert math.isclose(np.log(two).mean(), np.log(0.5), abs_tol=0.05)


def test_bicubic_smooths_what_shrinks_and_changes_no_flat_colour() -> None:
    stripes_HW = np.zeros(SIZE_HW, np.uint8)
    stripes_HW[:, ::2] = 255
    image_HWC = np.repeat(stripes_HW[..., None], 3, axis=2)
    settings = CROP.model_copy(
        update={"scale_min": 0.25, "scale_max": 0.251, "stretch": 0.0, "interpolation": "bicubic"}
    )
    for seed in range(10):
        rng = np.random.default_rng(seed)
        drawn = FocusedPair(image_HWC, np.zeros(SIZE_HW, np.uint8))
        crop_HWC, _ = crop_scaled(drawn, settings, rng, unlabeled_id=255)
        inside = crop_HWC[4:-4, 4:-4].astype(int)
        assert np.abs(inside - 127).max() < 20
