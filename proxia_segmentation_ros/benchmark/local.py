"""Measure the bare model, the core pipeline or plain PyTorch, alone or compared, without DDS."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from proxia_segmentation_ros.benchmark.report import describe_machine, make_report
from proxia_segmentation_ros.benchmark.rounds import (
    PEAK_HZ,
    Measurement,
    RunAtRate,
    run_rounds,
)
from proxia_segmentation_ros.benchmark.run import Run
from proxia_segmentation_ros.benchmark.variant import Variant
from proxia_segmentation_ros.benchmark.workers.variant_worker import BenchmarkImages, VariantWorker
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.progress import Progress


@dataclass(frozen=True, kw_only=True)
class RoundSettings:
    """Rates, rounds and seconds of each run; a rate of 0 is peak throughput."""

    rates_hz: Sequence[float] = (PEAK_HZ,)
    rounds: int = 5
    seconds: float = 2.0
    images: BenchmarkImages = field(default_factory=BenchmarkImages)

    def describe(self) -> dict[str, Any]:
        """Return the settings as a report holds them."""
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
    title: str,
    subject: Variant,
    baseline: Variant | None,
    settings: RoundSettings,
    progress: Progress,
) -> dict[str, Any]:
    """Return the report of one variant, or of two in separate processes and interleaved rounds.

    Raises:
        WeightsError: the weights can't be read.
        InputError: the images can't be read.
        BackendError: a process has ended.
    """
    variants = [subject] if baseline is None else [subject, baseline]
    for variant in variants:
        read_card(variant.weights)
    machine = describe_machine()
    progress.begin("loading")
    with ExitStack() as stack:
        workers = [
            stack.enter_context(VariantWorker(variant, settings.images, os.environ))
            for variant in variants
        ]
        runs = {str(place): _bind(worker, settings) for place, worker in enumerate(workers)}
        traces = run_rounds(runs, settings.rates_hz, settings.rounds, progress)
        measurements = [
            Measurement(
                name=worker.variant.name,
                description={"weights": worker.variant.weights, **worker.description},
                traces=traces[str(place)],
            )
            for place, worker in enumerate(workers)
        ]
    measured_baseline = measurements[1] if baseline is not None else None
    return make_report(title, measurements[0], measured_baseline, settings.describe(), machine)


def _bind(worker: VariantWorker, settings: RoundSettings) -> RunAtRate:
    return lambda rate_hz: worker.run(Run(rate_hz=rate_hz, seconds=settings.seconds))
