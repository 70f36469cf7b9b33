"""Rounds that alternate between what is compared, so that a slower minute slows all of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxia_segmentation_ros.benchmark.trace import Trace
from proxia_segmentation_ros.progress import Progress

PEAK_HZ = 0.0

RunAtRate = Callable[[float], Trace]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One thing that was measured: traces of all rounds by rate, `PEAK_HZ` for peak throughput."""

    name: str
    description: Mapping[str, Any] = field(default_factory=dict)
    traces: Mapping[float, Sequence[Trace]] = field(default_factory=dict)


def is_saturated(*sides: Measured) -> bool:
    """Whether every stretch at peak was offered more frames than it labelled.

    Only a node that misses frames had one waiting all the time.
    """
    return all(trace.missed > 0 for one in sides for trace in one.traces[PEAK_HZ])


def run_rounds(
    sides: Mapping[str, RunAtRate], rates_hz: Sequence[float], rounds: int, progress: Progress
) -> dict[str, dict[float, list[Trace]]]:
    """Run every side at every rate, round by round; returns traces by side and rate.

    Every other round takes the sides in reverse, so that none always follows another.
    """
    traces: dict[str, dict[float, list[Trace]]] = {
        name: {rate_hz: [] for rate_hz in rates_hz} for name in sides
    }
    progress.begin("measuring", rounds * len(rates_hz) * len(sides))
    for number in range(rounds):
        for rate_hz in rates_hz:
            names = list(sides) if number % 2 == 0 else list(reversed(list(sides)))
            for name in names:
                traces[name][rate_hz].append(sides[name](rate_hz))
                progress.advance()
    return traces
