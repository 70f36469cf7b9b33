"""Checks and resizing before the network."""

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.backends.preprocess import check_image, resize_image
from proxia_segmentation_ros.synthetic import StreetScene


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


@pytest.mark.parametrize(
    ("from_hw", "to_hw"),
    [
        ((360, 480), (288, 384)),
        ((480, 640), (288, 384)),
        ((540, 960), (288, 384)),
        ((720, 1280), (288, 384)),
        ((1080, 1440), (288, 384)),
    ],
)
def test_picture_that_shrinks_stays_close_to_the_mean_over_the_covered_area(
    from_hw: tuple[int, int], to_hw: tuple[int, int]
) -> None:
    picture_HWC, _ = StreetScene.sample(7, from_hw)
    exact_HWC = cv2.resize(picture_HWC, to_hw[::-1], interpolation=cv2.INTER_AREA)
    difference_HWC = exact_HWC.astype(int) - resize_image(picture_HWC, to_hw)
    assert np.abs(difference_HWC).mean() < 1.0
    assert abs(difference_HWC.mean()) < 0.25


def halve(image_HWC: np.ndarray, axis: int) -> np.ndarray:
    """Return the means of neighbours, for sides of even length."""
    first, second = (np.take(image_HWC, range(i, image_HWC.shape[axis], 2), axis) for i in (0, 1))
    return (first.astype(float) + second) / 2


@pytest.mark.parametrize(
    ("from_hw", "axes", "to_hw"),
    [
        ((720, 1280), (0, 1), (288, 384)),
        ((2160, 3840), (0, 1, 0, 1, 1), (288, 384)),
        ((540, 960), (1,), (288, 384)),
        ((961, 768), (1,), (600, 384)),
        ((100, 768), (1,), (200, 300)),
    ],
)
def test_even_sides_are_halved_and_the_rest_is_bilinear(
    from_hw: tuple[int, int], axes: tuple[int, ...], to_hw: tuple[int, int]
) -> None:
    noise_HWC = np.random.default_rng(5).integers(0, 256, (*from_hw, 3), np.uint8)
    halved_HWC = noise_HWC.astype(np.float32)
    for axis in axes:
        halved_HWC = halve(halved_HWC, axis).astype(np.float32)
    expected_HWC = cv2.resize(halved_HWC, to_hw[::-1], interpolation=cv2.INTER_LINEAR)
    difference_HWC = resize_image(noise_HWC, to_hw) - expected_HWC
    # Bytes are rounded after each halving, halves of them up.
    assert np.abs(difference_HWC).max() <= 0.6 * (len(axes) + 1)
    assert abs(difference_HWC.mean()) < 0.5


@pytest.mark.parametrize("to_hw", [(16, 16), (24, 24), (20, 33), (13, 64)])
def test_stripes_keep_their_share_of_the_whole_however_much_it_shrinks(
    to_hw: tuple[int, int],
) -> None:
    for axis in (0, 1):
        stripes_HWC = np.zeros((64, 64, 3), np.uint8)
        stripes_HWC[(slice(None),) * axis + (slice(None, None, 4),)] = 255
        assert resize_image(stripes_HWC, to_hw).mean() == pytest.approx(255 / 4, abs=2)


@pytest.mark.parametrize(("from_hw", "to_hw"), [((200, 1025), (288, 205)), ((1025, 60), (205, 90))])
def test_odd_side_is_averaged_also_where_the_other_one_grows(
    from_hw: tuple[int, int], to_hw: tuple[int, int]
) -> None:
    axis = from_hw.index(1025)
    stripes_HWC = np.zeros((*from_hw, 3), np.uint8)
    stripes_HWC[(slice(None),) * axis + (slice(2, None, 5),)] = 255
    assert np.unique(resize_image(stripes_HWC, to_hw)).tolist() == [51]


@pytest.mark.parametrize("from_hw", [(361, 481), (719, 961)])
def test_odd_sides_are_averaged_over_the_covered_area(from_hw: tuple[int, int]) -> None:
    noise_HWC = np.random.default_rng(3).integers(0, 256, (*from_hw, 3), np.uint8)
    exact_HWC = cv2.resize(noise_HWC, (240, 180), interpolation=cv2.INTER_AREA)
    assert (resize_image(noise_HWC, (180, 240)) == exact_HWC).all()


@pytest.mark.parametrize("size_hw", [(80, 120), (20, 120), (80, 20)])
def test_enlarging_a_side_interpolates(size_hw: tuple[int, int]) -> None:
    ramp_HWC = np.broadcast_to(np.arange(60, dtype=np.uint8)[None, :, None] * 4, (40, 60, 3))
    stretched_HWC = resize_image(np.ascontiguousarray(ramp_HWC), size_hw)
    assert stretched_HWC.shape == (*size_hw, 3)
    assert (np.diff(stretched_HWC[0, :, 0].astype(int)) >= 0).all()
