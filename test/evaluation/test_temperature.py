"""Fitted temperatures against a grid search, and samples that don't depend on who draws them."""

import json
import math
import pickle

import numpy as np
import pytest

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.evaluation.observer import EvaluatedImage
from proxia_segmentation_ros.evaluation.temperature import (
    MAX_FLOATS_PER_IMAGE,
    MAX_TEMPERATURE,
    LogitSample,
    fit_temperature,
    measure_loss,
)

CLASSES = 5


def draw_pixels(count: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits, and truths with the probabilities that the logits have at a temperature."""
    generator = np.random.default_rng(seed)
    logits_PK = generator.normal(0, 3, (count, CLASSES)).astype(np.float32)
    odds = np.exp(logits_PK / temperature)
    shares = (odds / odds.sum(1, keepdims=True)).cumsum(1)
    truth = (generator.random((count, 1)) > shares).sum(1).clip(max=CLASSES - 1)
    return logits_PK, truth


def to_image(logits_PK: np.ndarray, height: int) -> np.ndarray:
    return np.ascontiguousarray(logits_PK.T).reshape(CLASSES, height, -1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_temperature_that_drew_the_truth_is_found(temperature: float) -> None:
    assert fit_temperature(*draw_pixels(40_000, temperature)) == pytest.approx(
        temperature, rel=0.03
    )


def test_no_temperature_on_a_fine_grid_has_less_loss() -> None:
    logits_PK, truth = draw_pixels(3000, 1.7, seed=3)
    fitted = fit_temperature(logits_PK, truth)
    grid = np.exp(np.linspace(math.log(0.1), math.log(10), 400))
    losses = [measure_loss(logits_PK, truth, temperature) for temperature in grid]
    assert measure_loss(logits_PK, truth, fitted) <= min(losses)
    assert fitted == pytest.approx(grid[int(np.argmin(losses))], rel=0.02)


def test_loss_is_the_mean_negative_logarithm_of_the_true_probability() -> None:
    logits_PK = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]]))
    loss = measure_loss(logits_PK, np.array([0, 2]), 1.0)
    assert loss == pytest.approx(-(math.log(0.7) + math.log(0.25)) / 2)


def test_large_logits_do_not_overflow() -> None:
    logits_PK = np.array([[4000.0, 0.0], [0.0, 4000.0]], np.float32)
    assert measure_loss(logits_PK, np.array([0, 0]), 0.05) == pytest.approx(40_000)


def test_fit_lowers_loss_and_calibration_error_of_too_sure_logits() -> None:
    sample = LogitSample(1.0)
    for index in range(3):
        logits_PK, truth = draw_pixels(6000, 2.0, seed=index)
        sample.keep(index, truth.reshape(60, 100), to_image(logits_PK, 60))
    fit = sample.fit()
    assert fit.before.temperature == 1.0
    assert fit.temperature == fit.after.temperature == pytest.approx(2.0, rel=0.05)
    assert fit.after.loss < fit.before.loss
    assert fit.after.calibration_error < 0.015 < 0.08 < fit.before.calibration_error
    assert not fit.is_at_limit
    raw = json.loads(json.dumps(sample.to_dict(["a"] * CLASSES), allow_nan=False))
    assert raw["temperature_fit"]["pixels"] == 18_000
    assert raw["temperature_fit"]["after"]["temperature"] == fit.temperature
    assert f"1.0000 of the weights, {fit.temperature:.4f} fitted" in sample.to_text()


def test_sample_does_not_depend_on_order_or_process() -> None:
    logits_PK, truth = draw_pixels(20_000, 1.0)
    images = {
        index: (truth.reshape(100, 200), to_image(logits_PK * (1 + index / 10), 100))
        for index in range(3)
    }
    alone, first, second = LogitSample(1.0), LogitSample(1.0), LogitSample(1.0)
    for index in (0, 1, 2):
        alone.keep(index, *images[index])
    for index in (2, 0, 1):
        (first if index else second).keep(index, *images[index])
    assert second.fit() != alone.fit()
    second.merge(pickle.loads(pickle.dumps(first.export())))
    assert second.fit() == alone.fit()
    assert len(alone.parts[0][1]) == MAX_FLOATS_PER_IMAGE // CLASSES


def test_only_pixels_with_a_truth_are_drawn() -> None:
    truth = np.full((20, 20), 255, np.uint8)
    truth[3, 4], truth[5, 6] = 2, 4
    logits_KHW = np.arange(CLASSES * 400, dtype=np.float32).reshape(CLASSES, 20, 20)
    sample = LogitSample(1.0)
    sample.keep(7, truth, logits_KHW)
    logits_PK, kept = sample.parts[7]
    assert kept.tolist() == [2, 4]
    np.testing.assert_array_equal(logits_PK, [logits_KHW[:, 3, 4], logits_KHW[:, 5, 6]])


def test_images_without_any_truth_are_refused() -> None:
    sample = LogitSample(1.0)
    sample.keep(0, np.full((2, 2), 255), np.zeros((CLASSES, 2, 2), np.float32))
    with pytest.raises(InputError, match="no pixel has a true class"):
        sample.fit()


def test_image_without_logits_is_named() -> None:
    labels_HW = np.zeros((2, 2), np.uint8)
    seen = EvaluatedImage(0, "a.png", np.zeros((2, 2, 3), np.uint8), labels_HW, labels_HW)
    assert LogitSample.needs_logits
    with pytest.raises(InputError, match=r"a\.png"):
        LogitSample(1.0).add(seen)


def test_infinite_logits_are_refused() -> None:
    sample = LogitSample(1.0)
    sample.keep(0, np.zeros((1, 1), int), np.full((CLASSES, 1, 1), np.inf, np.float32))
    with pytest.raises(InputError, match="NaN or infinity"):
        sample.fit()


def test_fit_says_when_the_loss_falls_beyond_the_range() -> None:
    always_right, always_wrong = LogitSample(1.0), LogitSample(1.0)
    logits_KHW = np.zeros((2, 1, 4), np.float32)
    logits_KHW[0] = 1.0
    always_right.keep(0, np.zeros((1, 4), int), logits_KHW)
    always_wrong.keep(0, np.ones((1, 4), int), logits_KHW)
    assert always_right.fit().is_at_limit
    hot = always_wrong.fit()
    assert hot.is_at_limit
    assert hot.temperature == pytest.approx(MAX_TEMPERATURE, rel=1e-3)
