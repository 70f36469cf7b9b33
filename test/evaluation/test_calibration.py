"""Expected calibration error against a direct formula, and exact sums however images are split."""

import json
import pickle
from typing import Any

import numpy as np
import pytest

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.evaluation.calibration import BINS, Calibration
from proxia_segmentation_ros.evaluation.observer import EvaluatedImage

IGNORED = 255


def count(truth, predicted, confidence, classes=3) -> Calibration:
    calibration = Calibration(classes)
    calibration.count(np.array(truth), np.array(predicted), np.array(confidence))
    return calibration


def compute_error_directly(truth, predicted, confidence) -> float:
    """Return the ECE of the definition: a loop over bins (low, high] and a mean in each."""
    total = 0.0
    for index in range(BINS):
        is_in = (confidence > index / BINS) & (confidence <= (index + 1) / BINS)
        if index == 0:
            is_in |= confidence == 0
        if is_in.any():
            accuracy = (truth == predicted)[is_in].mean()
            total += abs(accuracy - confidence[is_in].mean()) * is_in.mean()
    return total


def test_error_is_that_of_the_definition() -> None:
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 3, (40, 50))
    predicted = np.where(generator.random((40, 50)) < 0.7, truth, (truth + 1) % 3)
    confidence = generator.random((40, 50)) ** 0.3
    found = count(truth, predicted, confidence).expected_error()
    assert found == pytest.approx(compute_error_directly(truth, predicted, confidence), abs=1e-4)


def test_confidence_of_robots_means_the_same_as_a_share_of_255() -> None:
    steps = np.arange(256, dtype=np.uint8)
    truth = np.zeros(256, np.uint8)
    predicted = (np.arange(256) % 3).astype(np.uint8)
    of_robots = count(truth, predicted, steps)
    exact = count(truth, predicted, steps / 255)
    np.testing.assert_array_equal(of_robots.table, exact.table)
    assert of_robots.pixels == 256


def test_upper_edge_belongs_to_a_bin() -> None:
    found = count([0, 0, 0, 0], [0, 0, 0, 0], [0.0, 1 / 15, 1 / 15 + 2e-5, 1.0])
    assert found.table[:, 0].nonzero()[0].tolist() == [0, 1, 14]
    assert found.table[0, 0] == 2


def test_sure_and_right_is_no_error_and_sure_and_wrong_all_of_it() -> None:
    assert count([0, 1], [0, 1], np.array([255, 255], np.uint8)).expected_error() == 0
    assert count([0, 1], [1, 0], np.array([255, 255], np.uint8)).expected_error() == 1


def test_pixels_without_a_class_on_either_side_count_nowhere() -> None:
    found = count([0, IGNORED, -1, 2, 1], [0, 1, 1, IGNORED, -1], [0.9, 0.1, 0.1, 0.1, 0.1])
    assert found.pixels == 1
    assert found.bins[0].confidence == pytest.approx(0.9, abs=1e-5)


def test_split_over_processes_gives_the_same_table() -> None:
    generator = np.random.default_rng(2)
    images = [
        EvaluatedImage(
            index,
            f"{index}.png",
            np.zeros((9, 7, 3), np.uint8),
            generator.integers(0, 3, (9, 7)),
            generator.integers(0, 3, (9, 7)),
            generator.integers(0, 256, (9, 7)).astype(np.uint8),
        )
        for index in range(5)
    ]
    alone, first, second = Calibration(3), Calibration(3), Calibration(3)
    for image in images:
        alone.add(image)
        (first if image.index % 2 else second).add(image)
    first.merge(pickle.loads(pickle.dumps(second.export())))
    np.testing.assert_array_equal(first.table, alone.table)
    assert first.expected_error() == alone.expected_error()
    assert first.table.dtype == np.int64
    assert first.pixels == 5 * 63


def test_image_without_confidence_is_named() -> None:
    labels_HW = np.zeros((2, 2), np.uint8)
    seen = EvaluatedImage(0, "a.png", np.zeros((2, 2, 3), np.uint8), labels_HW, labels_HW)
    assert Calibration.needs_confidence
    with pytest.raises(InputError, match=r"a\.png"):
        Calibration(3).add(seen)


@pytest.mark.parametrize("confidence", [1.01, -0.1, float("nan")])
def test_confidence_outside_0_to_1_is_refused(confidence: float) -> None:
    with pytest.raises(InputError, match="0 to 1"):
        count([0, 0], [0, 0], [0.5, confidence])


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match="one shape"):
        count([0, 0], [0, 0], [0.5])


def test_dict_is_strict_json_and_lists_the_bins_with_pixels() -> None:
    found = count([0, 0, 1], [0, 1, 1], [0.9, 0.9, 0.3]).to_dict(["a", "b", "c"])
    raw = json.loads(json.dumps(found, allow_nan=False))
    assert raw["expected_calibration_error"] == pytest.approx((2 * 0.4 + 0.7) / 3, abs=1e-4)
    assert [bin_row["pixels"] for bin_row in raw["reliability_bins"]] == [1, 2]
    nothing: dict[str, Any] = {"expected_calibration_error": None, "reliability_bins": []}
    assert Calibration(3).to_dict(["a", "b", "c"]) == nothing
