"""The controller against simulated machines."""

from collections.abc import Callable

import numpy as np
import pytest

from proxia_segmentation_ros.backends.pruned.latency_budget import (
    MIN_WAIT_FRAMES,
    WINDOW_FRAMES,
    LatencyBudget,
)

WORKS = (0.25, 0.4, 0.55, 0.85, 1.25, 1.5, 1.75, 2.25, 3.25, 5.25)
SETTLING_FRAMES = 2 * WINDOW_FRAMES


class Machine:
    """Takes so long for a frame of so much work; a share of frames is disturbed."""

    def __init__(
        self, ms_per_work: Callable[[int], float], *, noise: float = 0.03, spikes: float = 0.0
    ) -> None:
        self._ms_per_work = ms_per_work
        self._noise = noise
        self._spikes = spikes
        self._random = np.random.default_rng(5)

    def run(self, frame: int, work: float) -> float:
        spike = 2.0 if self._random.random() < self._spikes else 1.0
        noise = 1 + self._noise * abs(self._random.standard_normal())
        return (5.0 + self._ms_per_work(frame) * work) * noise * spike


def simulate(
    machine: Machine, budget_ms: float, frames: int, share: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return time and level of each frame; `share` of the level's work is asked for."""
    budget = LatencyBudget(budget_ms, WORKS)
    times, levels = [], []
    for frame in range(frames):
        levels.append(budget.level)
        work = max(WORKS[0], share * WORKS[budget.level])
        times.append(machine.run(frame, work))
        budget.report(work, times[-1])
    return np.array(times), np.array(levels)


def count_changes(levels: np.ndarray) -> int:
    return int(np.count_nonzero(np.diff(levels)))


@pytest.mark.parametrize("budget_ms", [30.0, 60.0, 100.0, 140.0, 400.0])
def test_p95_stays_inside_with_the_best_level_that_fits(budget_ms: float) -> None:
    times, levels = simulate(Machine(lambda _: 60.0), budget_ms, 2000)
    assert np.percentile(times[SETTLING_FRAMES:], 95) <= budget_ms
    fitting = [
        level for level, work in enumerate(WORKS) if 1.1 * (5 + 60 * work) <= 0.9 * budget_ms
    ]
    assert np.median(levels[-500:]) >= max(fitting)


def test_a_core_taken_away_costs_two_late_frames_and_given_back_brings_quality_back() -> None:
    def ms_per_work(frame: int) -> float:
        return 120.0 if 600 <= frame < 1200 else 60.0

    times, levels = simulate(Machine(ms_per_work), 120.0, 1800)
    late = np.flatnonzero(times > 120.0)
    assert len(late[(late >= 600) & (late < 1200)]) <= 0.05 * 600
    assert np.percentile(times[602:1200], 95) <= 120.0
    assert levels[603] < levels[599]
    assert levels[1799] == levels[599]


def test_levels_do_not_oscillate_on_a_steady_machine() -> None:
    for budget_ms in np.linspace(25, 330, 40):
        _, levels = simulate(Machine(lambda _: 60.0), float(budget_ms), 3000)
        assert count_changes(levels[1000:]) <= 2 * 2000 / (8 * MIN_WAIT_FRAMES)


def test_rare_spikes_do_not_move_the_level() -> None:
    _, levels = simulate(Machine(lambda _: 60.0, spikes=0.01), 110.0, 2000)
    assert np.median(levels[-1000:]) >= 3
    assert count_changes(levels[200:]) <= 60


def test_it_starts_low_and_climbs_one_level_at_a_time() -> None:
    _, levels = simulate(Machine(lambda _: 60.0), 400.0, 300)
    assert levels[0] == 0
    assert np.diff(levels).max() == 1
    assert levels[-1] == len(WORKS) - 1


def test_frames_that_ask_for_less_than_their_level_allows_keep_the_budget_too() -> None:
    times, _ = simulate(Machine(lambda _: 60.0), 120.0, 1000, share=0.5)
    assert np.percentile(times[SETTLING_FRAMES:], 95) <= 120.0


def test_a_budget_that_nothing_meets_stays_at_the_lowest_level_and_is_told() -> None:
    budget = LatencyBudget(10.0, WORKS)
    for _ in range(100):
        budget.report(WORKS[budget.level], 20.0)
    assert budget.level == 0
    assert budget.is_too_small
    roomy = LatencyBudget(100.0, WORKS)
    roomy.report(WORKS[0], 20.0)
    roomy.report(WORKS[0], 20.0)
    assert not roomy.is_too_small
