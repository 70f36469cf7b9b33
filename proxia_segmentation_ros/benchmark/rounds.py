"""Interleaved rounds: each runs every variant, so that a slow minute slows all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxia_segmentation_ros.benchmark.trace import Trace
from proxia_segmentation_ros.progress import Progress

PEAK_HZ = 0.0

RunAtRate = Callable[[float], Trace]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Traces of one variant over all rounds, by rate; `PEAK_HZ` is peak throughput."""

    name: str
    description: Mapping[str, Any] = field(default_factory=dict)
    traces: Mapping[float, Sequence[Trace]] = field(default_factory=dict)


def is_saturated(*variants: Measurement) -> bool:
    """Whether every run at peak received more frames than it labelled.

    A node that missed none was idle at times: its camera was too slow to measure its peak.
    """
    return all(trace.missed > 0 for variant in variants for trace in variant.traces[PEAK_HZ])


def run_rounds(
    variants: Mapping[str, RunAtRate], rates_hz: Sequence[float], rounds: int, progress: Progress
) -> dict[str, dict[float, list[Trace]]]:
    """Run every variant at every rate, round by round; return traces by variant and rate.

    Every second round runs the variants in reverse order, so that none always follows another.
    """
    traces: dict[str, dict[float, list[Trace]]] = {
        name: {rate_hz: [] for rate_hz in rates_hz} for name in variants
    }
    progress.begin("measuring", rounds * len(rates_hz) * len(variants))
    for number in range(rounds):
        for rate_hz in rates_hz:
            names = list(variants) if number % 2 == 0 else list(reversed(list(variants)))
            for name in names:
                traces[name][rate_hz].append(variants[name](rate_hz))
                progress.advance()
    return traces
