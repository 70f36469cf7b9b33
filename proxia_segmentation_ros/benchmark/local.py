"""Measure the bare model, the core pipeline or plain PyTorch, one against another, without DDS."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from proxia_segmentation_ros.benchmark.report import describe_machine, make_report
from proxia_segmentation_ros.benchmark.rounds import (
    PEAK_HZ,
    Measured,
    RunAtRate,
    run_rounds,
)
from proxia_segmentation_ros.benchmark.run import Stretch
from proxia_segmentation_ros.benchmark.side import Side
from proxia_segmentation_ros.benchmark.workers.side_worker import BenchmarkImages, BenchmarkWorker
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.progress import Progress


@dataclass(frozen=True, kw_only=True)
class RoundSettings:
    """How long and how often; a rate of 0 is peak throughput."""

    rates_hz: Sequence[float] = (PEAK_HZ,)
    rounds: int = 5
    seconds: float = 2.0
    images: BenchmarkImages = field(default_factory=BenchmarkImages)

    def describe(self) -> dict[str, Any]:
        """Return what a report says of it."""
        height, width = self.images.size_hw
        return {
            "size": f"{width}x{height}",
            "source": self.images.source,
            "images": self.images.count,
            "rates_hz": list(self.rates_hz),
            "rounds": self.rounds,
            "seconds": self.seconds,
        }


def run_local_benchmark(
    title: str, main: Side, against: Side | None, settings: RoundSettings, progress: Progress
) -> dict[str, Any]:
    """Return the report of one side, or of two in processes of their own that take turns.

    Raises:
        WeightsError: the weights can't be read.
        InputError: the images can't be read.
        BackendError: a process has ended.
    """
    sides = [main] if against is None else [main, against]
    for side in sides:
        read_card(side.weights)
    machine = describe_machine()
    progress.begin("loading")
    with ExitStack() as stack:
        workers = [
            stack.enter_context(BenchmarkWorker(side, settings.images, os.environ))
            for side in sides
        ]
        runs = {str(place): _bind(worker, settings) for place, worker in enumerate(workers)}
        traces = run_rounds(runs, settings.rates_hz, settings.rounds, progress)
        measured = [
            Measured(
                name=worker.side.name,
                description={"weights": worker.side.weights, **worker.description},
                traces=traces[str(place)],
            )
            for place, worker in enumerate(workers)
        ]
    yardstick = measured[1] if len(measured) > 1 else None
    return make_report(title, measured[0], yardstick, settings.describe(), machine)


def _bind(worker: BenchmarkWorker, settings: RoundSettings) -> RunAtRate:
    return lambda rate_hz: worker.run(Stretch(rate_hz=rate_hz, seconds=settings.seconds))
