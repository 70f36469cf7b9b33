"""The learning-rate schedule."""

import pytest

from proxia_segmentation_ros.training.schedule import compute_learning_rate


def rate(step: int, warmup: int = 10) -> float:
    return compute_learning_rate(step, peak=1.0, steps=100, warmup_steps=warmup, power=2.0)


def test_warm_up_rises_linearly() -> None:
    assert rate(0) == pytest.approx(0.1)
    assert rate(4) == pytest.approx(0.5 * 0.96**2)


def test_poly_falls_to_zero() -> None:
    assert rate(50) == pytest.approx(0.25)
    assert rate(100) == 0
    assert rate(200) == 0


def test_no_warm_up_starts_at_the_peak() -> None:
    assert rate(0, warmup=0) == 1.0
