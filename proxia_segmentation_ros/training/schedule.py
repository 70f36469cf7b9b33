"""Learning-rate schedules."""

import math

from proxia_segmentation_ros.training.settings import (
    POLY2_FROM,
    OptimiserSettings,
    ScheduleName,
)


def compute_learning_rate(
    step: int,
    *,
    peak: float,
    steps: int,
    warmup_steps: int,
    power: float,
    schedule: ScheduleName = "poly",
    poly2_from: float = POLY2_FROM,
) -> float:
    """Return the learning rate of `step` (from 0): linear warm-up, then decay to 0 at `steps`.

    `poly2` doubles its power after the share `poly2_from` of the run, as the schedule of that
    name in NVIDIA/semantic-segmentation (https://github.com/NVIDIA/semantic-segmentation, 2020).
    """
    warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    done = min(1.0, step / steps)
    if schedule == "cosine":
        return float(peak * warmup * (1 + math.cos(math.pi * done)) / 2)
    if schedule == "poly2" and done >= poly2_from:
        power = 2 * power
    return float(peak * warmup * (1 - done) ** power)


def get_learning_rate(settings: OptimiserSettings, step: int, steps: int) -> float:
    """Return the learning rate of `step` by a recipe's settings."""
    return compute_learning_rate(
        step,
        peak=settings.learning_rate,
        steps=steps,
        warmup_steps=settings.warmup_steps,
        power=settings.poly_power,
        schedule=settings.schedule,
        poly2_from=settings.poly2_from,
    )
