"""Checks and resizing before the network."""

import numpy as np
import pytest

from proxia_segmentation_ros.inference.preprocess import check_image, resize_image


def test_image_of_the_right_size_is_not_copied() -> None:
    image_HWC = np.zeros((20, 30, 3), np.uint8)
    assert check_image(image_HWC) is image_HWC
    assert resize_image(image_HWC, (20, 30)) is image_HWC


def test_image_is_stretched_to_both_sides() -> None:
    image_HWC = np.zeros((40, 60, 3), np.uint8)
    image_HWC[:, 30:] = 200
    small_HWC = resize_image(image_HWC, (30, 20))
    assert small_HWC.shape == (30, 20, 3)
    assert (small_HWC[:, :10] == 0).all()
    assert (small_HWC[:, 10:] == 200).all()


def test_shrinking_averages_what_a_pixel_covers() -> None:
    stripes_HWC = np.zeros((64, 64, 3), np.uint8)
    stripes_HWC[:, ::4] = 255
    assert np.unique(resize_image(stripes_HWC, (16, 16))).tolist() == [64]


@pytest.mark.parametrize("size_hw", [(80, 120), (20, 120), (80, 20)])
def test_enlarging_a_side_interpolates(size_hw: tuple[int, int]) -> None:
    ramp_HWC = np.broadcast_to(np.arange(60, dtype=np.uint8)[None, :, None] * 4, (40, 60, 3))
    stretched_HWC = resize_image(np.ascontiguousarray(ramp_HWC), size_hw)
    assert stretched_HWC.shape == (*size_hw, 3)
    assert (np.diff(stretched_HWC[0, :, 0].astype(int)) >= 0).all()
