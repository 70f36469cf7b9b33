"""The learning-rate schedule."""

from typing import Any

import pytest

from proxia_segmentation_ros.training.schedule import compute_learning_rate


def rate(step: int, warmup: int = 10, **further: Any) -> float:
    return compute_learning_rate(
        step, peak=1.0, steps=100, warmup_steps=warmup, power=2.0, **further
    )


def test_warm_up_rises_linearly() -> None:
    assert rate(0) == pytest.approx(0.1)
    assert rate(4) == pytest.approx(0.5 * 0.96**2)


def test_poly_falls_to_zero() -> None:
    assert rate(50) == pytest.approx(0.25)
    assert rate(100) == 0
    assert rate(200) == 0


def test_no_warm_up_starts_at_the_peak() -> None:
    assert rate(0, warmup=0) == 1.0


def test_poly2_doubles_its_power_on_the_way() -> None:
    assert rate(60, schedule="poly2") == pytest.approx(0.4**2)
    assert rate(62, schedule="poly2") == pytest.approx(0.38**4)
    assert rate(30, schedule="poly2", poly2_from=0.3) == pytest.approx(0.7**4)


def test_cosine_falls_from_peak_to_zero() -> None:
    got = [rate(step, 0, schedule="cosine") for step in (0, 50, 100)]
    assert got == pytest.approx([1.0, 0.5, 0.0])
    assert rate(4, schedule="cosine") < 0.5
