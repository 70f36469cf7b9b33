"""Connected regions against flood filling."""

from collections import deque
from collections.abc import Sequence

import numpy as np
import pytest

from proxia_segmentation_ros.objects.regions import Regions

UNLABELED = 255


def flood(labels_HW: np.ndarray) -> np.ndarray:
    """Number 8-connected regions from 1 by their first pixel; unlabeled pixels are 0."""
    height, width = labels_HW.shape
    regions_HW = np.zeros((height, width), int)
    is_labelled = labels_HW != np.iinfo(labels_HW.dtype).max
    for start in np.ndindex(height, width):
        if regions_HW[start] or not is_labelled[start]:
            continue
        regions_HW[start] = number = regions_HW.max() + 1
        waiting = deque([start])
        while waiting:
            row, column = waiting.popleft()
            near = np.s_[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            is_new = (labels_HW[near] == labels_HW[start]) & (regions_HW[near] == 0)
            regions_HW[near][is_new] = number
            for down, right in np.argwhere(is_new):
                waiting.append((near[0].start + down, near[1].start + right))
    return regions_HW


def draw(rows: Sequence[str]) -> np.ndarray:
    """Draw class 0 for a dot, unlabeled for a space, else the digit's class."""
    ids = {".": 0, " ": UNLABELED}
    return np.array([[ids.get(mark, ord(mark) - ord("0")) for mark in row] for row in rows], "u1")


def check_regions(labels_HW: np.ndarray) -> None:
    confidence_HW = np.random.default_rng(0).integers(0, 256, labels_HW.shape).astype(np.uint8)
    wanted_HW = flood(labels_HW)
    regions = Regions.find(labels_HW, confidence_HW)
    assert np.array_equal(regions.render_indices(), wanted_HW)
    assert len(regions.counts) == wanted_HW.max()
    assert regions.confidence_sums is not None
    for index in range(wanted_HW.max()):
        is_region = wanted_HW == index + 1
        rows, columns = is_region.nonzero()
        assert regions.classes[index] == labels_HW[is_region][0]
        assert regions.counts[index] == len(rows)
        box = [rows.min(), rows.max(), columns.min(), columns.max()]
        assert regions.boxes_R4[index].tolist() == box
        assert regions.centroids_yx[index] == pytest.approx((rows.mean(), columns.mean()))
        assert regions.confidence_sums[index] == confidence_HW[is_region].sum()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("classes", [1, 2, 4])
def test_random_pixels_are_grouped_as_by_flood_filling(classes: int, dtype: type) -> None:
    rng = np.random.default_rng(classes)
    for _ in range(60):
        labels_HW: np.ndarray = rng.integers(0, classes + 1, rng.integers(1, 13, 2)).astype(dtype)
        labels_HW[labels_HW == classes] = np.iinfo(dtype).max
        check_regions(labels_HW)


def test_random_patches_are_grouped_as_by_flood_filling() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        patches = rng.integers(0, 3, rng.integers(1, 8, 2)).astype(np.uint8)
        labels_HW = patches.repeat(rng.integers(1, 6), 0).repeat(rng.integers(1, 6), 1)
        labels_HW[rng.uniform(size=labels_HW.shape) < 0.02] = UNLABELED
        check_regions(labels_HW)


@pytest.mark.parametrize(
    ("rows", "classes"),
    [
        pytest.param(["1.", ".1"], [1, 0], id="down to the right"),
        pytest.param([".1", "1."], [0, 1], id="down to the left"),
        pytest.param(["1.1", "1.1", "111"], [1, 0], id="arms that meet at the bottom"),
        pytest.param(["111", "1.1", "1.1"], [1, 0], id="arms that meet at the top"),
        pytest.param(["1.1.1.1", ".1.2.1.", "..1.1.."], [1, 0, 1, 2], id="zigzag"),
        pytest.param(["..1", "22.", "1.."], [0, 1, 2, 1], id="not around an image's edge"),
        pytest.param(["1..", "..1"], [1, 0, 1], id="nor from the end of one row to the next"),
        pytest.param(["  1", "1  "], [1, 1], id="nor where all between is unlabeled"),
        pytest.param(
            ["1111111", "......1", "11111.1", "1...1.1", "1.111.1", "1.....1", "1111111"],
            [1, 0],
            id="spiral",
        ),
        pytest.param([".1.1.1.1.1", "1111111111"], [0, 1, 0, 0, 0, 0], id="comb"),
        pytest.param(["1"], [1], id="one pixel"),
        pytest.param([" "], [], id="one unlabeled pixel"),
        pytest.param(["11.1 1"], [1, 0, 1, 1], id="one row"),
        pytest.param(["1", "1", ".", "1", " ", "1"], [1, 0, 1, 1], id="one column"),
    ],
)
def test_shapes_hold_together(rows: Sequence[str], classes: Sequence[int]) -> None:
    labels_HW = draw(rows)
    assert Regions.find(labels_HW, None).classes.tolist() == classes
    check_regions(labels_HW)


def draw_spiral(turns: int) -> np.ndarray:
    """Draw a line one pixel wide whose turns lie one pixel apart."""
    labels_HW = np.zeros((4 * turns, 4 * turns), np.uint8)
    for turn in range(turns):
        near, far = 2 * turn, 4 * turns - 1 - 2 * turn
        labels_HW[near, max(near - 1, 0) : far + 1] = 1
        labels_HW[near : far + 1, far] = 1
        labels_HW[far, near : far + 1] = 1
        labels_HW[near + 2 : far + 1, near] = 1
    return labels_HW


def test_long_winding_regions_are_followed_to_their_ends() -> None:
    for labels_HW in (draw_spiral(5), draw_spiral(5).T, draw_spiral(5)[::-1]):
        check_regions(labels_HW)
    assert len(Regions.find(draw_spiral(40), None).counts) == 2


def test_part_of_a_larger_image_is_taken_as_it_is() -> None:
    whole_HW = np.random.default_rng(0).integers(0, 2, (20, 30)).astype(np.uint8)
    check_regions(whole_HW[3:15, 4:27:2])


def test_no_confidence_has_no_sums() -> None:
    assert Regions.find(np.zeros((2, 3), np.uint8), None).confidence_sums is None


def test_sums_of_an_image_whose_total_is_no_int32_are_exact() -> None:
    labels_HW = np.zeros((2901, 2904), np.uint8)
    labels_HW[-1] = 1
    regions = Regions.find(labels_HW, np.full(labels_HW.shape, 255, np.uint8))
    assert regions.confidence_sums is not None
    assert regions.confidence_sums.tolist() == [2900 * 2904 * 255, 2904 * 255]
