"""The node over DDS against the bare model, while the same camera publishes to both.

The bare model gets no images from that camera: they go to a null subscriber, so that publishing
costs both the same. Rounds alternate.
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxia_segmentation_ros.benchmark.flame_graph import FlameRecorder
from proxia_segmentation_ros.benchmark.local import RoundSettings
from proxia_segmentation_ros.benchmark.node_processes import (
    MATCH_TIMEOUT_S,
    NULL_MODULE,
    NULL_TOPIC,
    collect_trace,
    count_labels,
    describe_serving,
    make_bare_side,
    name_camera_topic,
    name_labels_topic,
    prepare_domain,
    start_node,
)
from proxia_segmentation_ros.benchmark.process_load import LoadWatch
from proxia_segmentation_ros.benchmark.report import describe_machine, make_report
from proxia_segmentation_ros.benchmark.rounds import (
    PEAK_HZ,
    Measured,
    is_saturated,
    run_rounds,
)
from proxia_segmentation_ros.benchmark.run import Stretch
from proxia_segmentation_ros.benchmark.trace import Trace, measure_performance
from proxia_segmentation_ros.benchmark.workers.camera import BenchmarkCamera
from proxia_segmentation_ros.benchmark.workers.side_worker import BenchmarkWorker
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.progress import Progress
from proxia_segmentation_ros.ros.client.node_process import NODE_MODULE, NodeProcess

if TYPE_CHECKING:
    from proxia_segmentation_ros.ros.client.benchmark_listener import BenchmarkListener

NODE_NAME = "proxia_benchmark"
CAMERA = "camera"
TO_NODE, TO_NULL = "node", "null"
# A camera this much faster than the model always has a frame waiting.
SATURATION = 1.5
FLAME_S = 10.0


@dataclass(frozen=True, kw_only=True)
class NodeBenchmarkSettings:
    """`parameters` are the node's; `saturating_hz` 0 is half as much again as the model can do.

    `flame` is where a flame graph of the node goes; that of the bare model goes beside it.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    rounds: RoundSettings = field(default_factory=RoundSettings)
    saturating_hz: float = 0.0
    flame: Path | None = None
    node_module: str = NODE_MODULE


def run_node_benchmark(settings: NodeBenchmarkSettings, progress: Progress) -> dict[str, Any]:
    """Return the report: the node's figures, the bare model's and their ratios.

    Raises:
        WeightsError: the weights can't be read.
        ConfigError: a parameter is out of its range.
        InputError: the images can't be read.
        ProxiaError: a process did not start, or no labels came back.
    """
    side = make_bare_side(settings.parameters)
    read_card(side.weights)
    recorder = FlameRecorder() if settings.flame else None
    prepare_domain()
    machine = describe_machine()
    progress.begin("starting the processes")
    with ExitStack() as stack:
        bench = NodeBench(
            settings, BenchmarkWorker(side, settings.rounds.images, os.environ), stack
        )
        bench.wait_until_ready()
        if recorder and settings.flame:
            progress.begin("recording flame graphs")
            bench.record_flames(recorder, settings.flame)
        runs = {TO_NODE: bench.run_node, TO_NULL: bench.run_bare}
        traces = run_rounds(runs, settings.rounds.rates_hz, settings.rounds.rounds, progress)
        described = {"weights": side.weights, **bench.bare.description}
        node = Measured(
            name="node",
            description={
                **described,
                **bench.describe_node(),
                "parameters": dict(settings.parameters),
            },
            traces=traces[TO_NODE],
        )
        bare = Measured(name=side.name, description=described, traces=traces[TO_NULL])
        told = {**settings.rounds.describe(), "saturating_hz": round(bench.saturating_hz, 1)}
    report = make_report("segmentation node over DDS", node, bare, told, machine)
    if PEAK_HZ in node.traces:
        report["custom"]["is_saturated"] = is_saturated(node)
    return report


class NodeBench:
    """The processes of this benchmark, and a stretch of either kind."""

    def __init__(
        self, settings: NodeBenchmarkSettings, bare: BenchmarkWorker, stack: ExitStack
    ) -> None:
        """Start everything; the stack ends it."""
        self.bare = stack.enter_context(bare)
        self._settings = settings
        self._node = start_node(
            NODE_NAME, (CAMERA,), settings.parameters, stack, settings.node_module
        )
        self._null = stack.enter_context(
            NodeProcess([NULL_TOPIC], env=os.environ, module=NULL_MODULE)
        )
        topics = {
            TO_NODE: (name_camera_topic(NODE_NAME, CAMERA), f"/{NODE_NAME}"),
            TO_NULL: (NULL_TOPIC, ""),
        }
        self._camera = stack.enter_context(
            BenchmarkCamera(CAMERA, topics, settings.rounds.images, os.environ)
        )
        self._listener = open_listener({CAMERA: name_labels_topic(NODE_NAME, CAMERA, 1)}, stack)
        self.saturating_hz = settings.saturating_hz

    def wait_until_ready(self) -> None:
        """Wait for all processes, warm the node up and find out what saturates it."""
        self._camera.wait_until_ready(self._node, self._null)
        self._listener.wait_until_matched(MATCH_TIMEOUT_S)
        if not self.saturating_hz:
            trace = self.bare.run(Stretch(seconds=self._settings.rounds.seconds))
            rate_hz = measure_performance(trace)["BasicPerformanceMetrics.MEAN_FRAME_RATE"]
            self.saturating_hz = SATURATION * rate_hz
        self.run_node(self._settings.rounds.rates_hz[0])

    def describe_node(self) -> dict[str, str]:
        """Return the node's own backend and precision: another engine may have come to serve."""
        return describe_serving(self._listener, [NODE_NAME])

    def record_flames(self, recorder: FlameRecorder, path: Path) -> None:
        """Draw where the node and the bare model spend their time at peak.

        Raises:
            ProxiaError: a picture could not be made.
        """
        bare_path = path.with_stem(f"{path.stem}-bare")
        for pid, run, where in (
            (self._node.pid, self.run_node, path),
            (self.bare.pid, self.run_bare, bare_path),
        ):
            with recorder.recording(pid, FLAME_S, where) as is_over:
                while not is_over():
                    run(PEAK_HZ)

    def run_node(self, rate_hz: float) -> Trace:
        """Send a stretch through the node.

        Raises:
            ProxiaError: no labels came back.
        """
        stretch = self._choose_stretch(rate_hz)
        self._listener.clear()
        with LoadWatch([self._node.pid]) as watch:
            sent_s = self._camera.send(TO_NODE, stretch)
            trace = collect_trace(self._listener, CAMERA, NODE_NAME, sent_s)
        self._node.check_alive()
        count_labels(trace)
        return trace.with_load(watch.describe())

    def run_bare(self, rate_hz: float) -> Trace:
        """Call the bare model while the camera feeds the null subscriber as it fed the node."""
        sending = self._camera.begin(TO_NULL, self._choose_stretch(rate_hz))
        trace = self.bare.run(Stretch(rate_hz=rate_hz, seconds=self._settings.rounds.seconds))
        sending.result()
        self._null.check_alive()
        return trace

    def _choose_stretch(self, rate_hz: float) -> Stretch:
        sent_hz = self.saturating_hz if rate_hz == PEAK_HZ else rate_hz
        return Stretch(rate_hz=sent_hz, seconds=self._settings.rounds.seconds)


def open_listener(topics: Mapping[str, str], stack: ExitStack) -> "BenchmarkListener":
    """Listen to label topics by names of the caller's; the stack ends it."""
    from proxia_segmentation_ros.ros.client.benchmark_listener import BenchmarkListener
    from proxia_segmentation_ros.ros.client.session import RosSession

    session = stack.enter_context(RosSession("proxia_benchmark_user"))
    listener = BenchmarkListener(session, topics)
    stack.callback(listener.close)
    return listener
