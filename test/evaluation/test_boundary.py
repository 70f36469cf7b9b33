"""Boundary scores of hand-made shapes."""

import json
import math

import numpy as np
import pytest

from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.evaluation.boundary import BoundaryScore, Tolerance


def make_square(left: int, size: int = 20, side: int = 60) -> np.ndarray:
    labels_HW = np.zeros((side, side), np.uint8)
    labels_HW[20 : 20 + size, left : left + size] = 1
    return labels_HW


def score(truth_HW: np.ndarray, predicted_HW: np.ndarray, tolerance: float) -> BoundaryScore:
    boundary = BoundaryScore(3, Tolerance(tolerance))
    boundary.count(truth_HW, predicted_HW)
    return boundary


def test_right_labels_score_one() -> None:
    boundary = score(make_square(20), make_square(20), 1)
    np.testing.assert_array_equal(boundary.f_score, [1, 1, np.nan])
    assert boundary.mean_f_score() == 1


@pytest.mark.parametrize(("tolerance", "found"), [(1, False), (2, False), (3, True), (5, True)])
def test_shifted_square_is_found_within_the_tolerance(tolerance: float, found: bool) -> None:
    boundary = score(make_square(20), make_square(23), tolerance)
    assert bool(boundary.f_score[1] == 1) is found
    assert boundary.f_score[1] > 0.3


def test_counts_of_the_outline_are_exact() -> None:
    boundary = score(make_square(20), make_square(23), 1)
    predicted, predicted_near, true, true_near = boundary.table[1]
    assert (predicted, true) == (76, 76)
    # Top and bottom row overlap in 17 columns and reach one further; the next pixel of the one
    # side that lies inside the other square is near them too.
    assert predicted_near == true_near == 2 * (17 + 1 + 1)


def test_missed_and_invented_classes_score_zero() -> None:
    nothing = np.zeros((60, 60), np.uint8)
    assert score(make_square(20), nothing, 3).f_score[1] == 0
    assert score(nothing, make_square(20), 3).f_score[1] == 0


def test_border_of_unlabelled_pixels_is_no_outline() -> None:
    truth_HW = make_square(20)
    truth_HW[truth_HW == 1] = 255
    assert not score(truth_HW, np.zeros((60, 60), np.uint8), 1).table.any()
    assert math.isnan(score(truth_HW, np.zeros((60, 60), np.uint8), 1).mean_f_score())


def test_share_of_the_diagonal_is_rounded_up() -> None:
    assert Tolerance(0.00375).to_pixels(1024, 2048) == 9
    assert Tolerance(0.00375).to_pixels(360, 480) == 3
    assert Tolerance(2.5).to_pixels(360, 480) == 2.5


@pytest.mark.parametrize("value", [0.0, -1.0, 1001.0, math.nan])
def test_impossible_tolerance_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="boundary tolerance is"):
        Tolerance(value)


def test_sizes_must_agree() -> None:
    with pytest.raises(InputError, match="the same height and width"):
        score(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8), 1)


def test_dict_is_strict_json() -> None:
    content = score(make_square(20), make_square(20), 2).to_dict(["ground", "square", "none"])
    assert json.loads(json.dumps(content, allow_nan=False)) == {
        "boundary_tolerance": 2,
        "mean_boundary_f_score": 1.0,
        "boundary_f_score": {"ground": 1.0, "square": 1.0, "none": None},
    }
