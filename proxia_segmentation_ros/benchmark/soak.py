"""Memory over many frames through the core pipeline, the model or the node."""

import os
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from proxia_segmentation_ros.benchmark.node import CAMERA, NODE_NAME, TO_NODE, open_listener
from proxia_segmentation_ros.benchmark.node_processes import (
    MATCH_TIMEOUT_S,
    collect_trace,
    count_labels,
    name_camera_topic,
    name_labels_topic,
    prepare_domain,
    start_node,
)
from proxia_segmentation_ros.benchmark.process_load import read_memory_mib
from proxia_segmentation_ros.benchmark.report import describe_machine, make_report
from proxia_segmentation_ros.benchmark.rounds import PEAK_HZ, Measurement
from proxia_segmentation_ros.benchmark.run import Run
from proxia_segmentation_ros.benchmark.trace import Trace
from proxia_segmentation_ros.benchmark.variant import Variant
from proxia_segmentation_ros.benchmark.workers.camera import BenchmarkCamera
from proxia_segmentation_ros.benchmark.workers.variant_worker import BenchmarkImages, VariantWorker
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.progress import Progress
from proxia_segmentation_ros.ros.client.node_process import NODE_MODULE

# Memory at the end is the median of this share of the curve.
END_SHARE = 0.1
DIGITS = 3


@dataclass(frozen=True, kw_only=True)
class SoakSettings:
    """Memory is read after `warm_up` frames, and then every `every` frames.

    `rate_hz` is the camera's, for a node.
    """

    frames: int = 20_000
    warm_up: int = 500
    every: int = 500
    rate_hz: float = 60.0
    images: BenchmarkImages = field(default_factory=BenchmarkImages)
    node_module: str = NODE_MODULE

    def describe(self) -> dict[str, Any]:
        """Return the settings as a report holds them."""
        height, width = self.images.size_hw
        return {
            "size": f"{width}x{height}",
            "source": self.images.source,
            "frames": self.frames,
            "warm_up": self.warm_up,
            "every": self.every,
        }


@dataclass(frozen=True, kw_only=True)
class MemoryReading:
    """Resident memory of a process, and the frames since the warm-up."""

    frames: int
    memory_mib: float


def soak_variant(variant: Variant, settings: SoakSettings, progress: Progress) -> dict[str, Any]:
    """Return the report of one variant that labelled all frames in a separate process.

    Raises:
        ConfigError: fewer frames than two readings need.
        WeightsError: the weights can't be read.
        BackendError: the process has ended.
    """
    _check_frames(settings)
    read_card(variant.weights)
    machine = describe_machine()
    progress.begin("loading")
    with VariantWorker(variant, settings.images, os.environ) as worker:
        worker.run(Run(frames=settings.warm_up))
        readings = [MemoryReading(frames=0, memory_mib=read_memory_mib(worker.pid))]
        traces: list[Trace] = []
        progress.begin("labelling", settings.frames // settings.every)
        while readings[-1].frames < settings.frames:
            traces.append(worker.run(Run(frames=settings.every)))
            done = readings[-1].frames + settings.every
            readings.append(MemoryReading(frames=done, memory_mib=read_memory_mib(worker.pid)))
            progress.advance()
        description = {"weights": variant.weights, **worker.description}
    return _report(variant.name, description, traces, readings, settings, machine)


def soak_node(
    parameters: Mapping[str, Any], settings: SoakSettings, progress: Progress
) -> dict[str, Any]:
    """Return the report of a node that labelled all frames over DDS.

    Raises:
        ConfigError: a parameter is out of its range, or fewer frames than two readings need.
        ProxiaError: a process has ended.
    """
    _check_frames(settings)
    prepare_domain()
    machine = describe_machine()
    progress.begin("starting the processes")
    traces: list[Trace] = []
    with ExitStack() as stack:
        node = start_node(NODE_NAME, (CAMERA,), parameters, stack, settings.node_module)
        topics = {TO_NODE: (name_camera_topic(NODE_NAME, CAMERA), f"/{NODE_NAME}")}
        camera = stack.enter_context(BenchmarkCamera(CAMERA, topics, settings.images, os.environ))
        listener = open_listener({CAMERA: name_labels_topic(NODE_NAME, CAMERA, 1)}, stack)
        camera.wait_until_ready(node)
        listener.wait_until_matched(MATCH_TIMEOUT_S)

        def label_frames(frames: int) -> int:
            listener.clear()
            sent_s = camera.send(TO_NODE, Run(rate_hz=settings.rate_hz, frames=frames))
            node.check_alive()
            traces.append(collect_trace(listener, CAMERA, NODE_NAME, sent_s))
            return count_labels(traces[-1])

        label_frames(settings.warm_up)
        traces.clear()
        readings = [MemoryReading(frames=0, memory_mib=read_memory_mib(node.pid))]
        progress.begin("labelling")
        while readings[-1].frames < settings.frames:
            done = readings[-1].frames + label_frames(settings.every)
            readings.append(MemoryReading(frames=done, memory_mib=read_memory_mib(node.pid)))
            progress.advance()
    return _report("node", {"parameters": dict(parameters)}, traces, readings, settings, machine)


def describe_growth(readings: Sequence[MemoryReading]) -> dict[str, Any]:
    """Return memory after the warm-up and at the end, how much it grew, and the whole curve."""
    start_mib = readings[0].memory_mib
    last = max(1, round(END_SHARE * (len(readings) - 1)))
    end_mib = statistics.median(reading.memory_mib for reading in readings[-last:])
    highest_mib = max(reading.memory_mib for reading in readings)
    return {
        "start_mib": round(start_mib, DIGITS),
        "end_mib": round(end_mib, DIGITS),
        "highest_mib": round(highest_mib, DIGITS),
        "growth_percent": round(100 * (end_mib / start_mib - 1), DIGITS),
        "curve": [[reading.frames, round(reading.memory_mib, DIGITS)] for reading in readings],
    }


def _report(
    name: str,
    description: Mapping[str, Any],
    traces: Sequence[Trace],
    readings: Sequence[MemoryReading],
    settings: SoakSettings,
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    measurement = Measurement(name=name, description=description, traces={PEAK_HZ: traces})
    report = make_report("soak", measurement, None, settings.describe(), machine)
    report["custom"]["memory"] = describe_growth(readings)
    return report


def _check_frames(settings: SoakSettings) -> None:
    if settings.frames < settings.every:
        raise ConfigError.from_parts(
            f"frames are {settings.frames} and memory is read every {settings.every}",
            "one reading or more after the first",
            "raise --frames or lower --every",
        )
