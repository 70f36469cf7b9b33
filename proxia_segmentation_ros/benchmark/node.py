"""The node over DDS against the bare model, in interleaved rounds.

While the bare model runs, the camera publishes to a baseline subscriber, which drops the images:
publishing costs both variants the same.
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxia_segmentation_ros.benchmark.local import RoundSettings
from proxia_segmentation_ros.benchmark.node_processes import (
    BASELINE_MODULE,
    BASELINE_TOPIC,
    MATCH_TIMEOUT_S,
    collect_trace,
    count_labels,
    describe_serving,
    make_bare_variant,
    name_camera_topic,
    name_labels_topic,
    prepare_domain,
    start_node,
)
from proxia_segmentation_ros.benchmark.process_load import LoadWatch
from proxia_segmentation_ros.benchmark.profiler import Profiler
from proxia_segmentation_ros.benchmark.report import describe_machine, make_report
from proxia_segmentation_ros.benchmark.rounds import (
    PEAK_HZ,
    Measurement,
    is_saturated,
    run_rounds,
)
from proxia_segmentation_ros.benchmark.run import Run
from proxia_segmentation_ros.benchmark.trace import BASIC, Trace, measure_performance
from proxia_segmentation_ros.benchmark.workers.camera import BenchmarkCamera
from proxia_segmentation_ros.benchmark.workers.variant_worker import VariantWorker
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.progress import Progress
from proxia_segmentation_ros.ros.client.node_process import NODE_MODULE, NodeProcess

if TYPE_CHECKING:
    from proxia_segmentation_ros.ros.client.benchmark_listener import BenchmarkListener

NODE_NAME = "proxia_benchmark"
CAMERA = "camera"
TO_NODE, TO_BASELINE = "node", "baseline"
# Of the bare model's rate: a camera this fast always has the next frame waiting.
SATURATION = 1.5
PROFILE_S = 10.0


@dataclass(frozen=True, kw_only=True)
class NodeBenchmarkSettings:
    """`parameters` are the node's; `saturating_hz` 0 is 1.5 times the rate of the bare model.

    `flame` is the file for a profile of the node; that of the bare model is written beside it.
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
    variant = make_bare_variant(settings.parameters)
    read_card(variant.weights)
    profiler = Profiler() if settings.flame else None
    prepare_domain()
    machine = describe_machine()
    progress.begin("starting the processes")
    with ExitStack() as stack:
        bench = NodeBench(
            settings, VariantWorker(variant, settings.rounds.images, os.environ), stack
        )
        bench.wait_until_ready()
        if profiler and settings.flame:
            progress.begin("recording profiles")
            bench.record_profiles(profiler, settings.flame)
        runs = {TO_NODE: bench.run_node, TO_BASELINE: bench.run_bare}
        traces = run_rounds(runs, settings.rounds.rates_hz, settings.rounds.rounds, progress)
        described = {"weights": variant.weights, **bench.bare.description}
        node = Measurement(
            name="node",
            description={
                **described,
                **bench.describe_node(),
                "parameters": dict(settings.parameters),
            },
            traces=traces[TO_NODE],
        )
        bare = Measurement(name=variant.name, description=described, traces=traces[TO_BASELINE])
        report_settings = {
            **settings.rounds.describe(),
            "saturating_hz": round(bench.saturating_hz, 1),
        }
    report = make_report("segmentation node over DDS", node, bare, report_settings, machine)
    if PEAK_HZ in node.traces:
        report["custom"]["is_saturated"] = is_saturated(node)
    return report


class NodeBench:
    """The processes of this benchmark, and a run of either variant."""

    def __init__(
        self, settings: NodeBenchmarkSettings, bare: VariantWorker, stack: ExitStack
    ) -> None:
        """Start all processes; the stack ends them."""
        self.bare = stack.enter_context(bare)
        self._settings = settings
        self._node = start_node(
            NODE_NAME, (CAMERA,), settings.parameters, stack, settings.node_module
        )
        self._baseline = stack.enter_context(
            NodeProcess([BASELINE_TOPIC], env=os.environ, module=BASELINE_MODULE)
        )
        topics = {
            TO_NODE: (name_camera_topic(NODE_NAME, CAMERA), f"/{NODE_NAME}"),
            TO_BASELINE: (BASELINE_TOPIC, ""),
        }
        self._camera = stack.enter_context(
            BenchmarkCamera(CAMERA, topics, settings.rounds.images, os.environ)
        )
        self._listener = open_listener({CAMERA: name_labels_topic(NODE_NAME, CAMERA, 1)}, stack)
        self.saturating_hz = settings.saturating_hz

    def wait_until_ready(self) -> None:
        """Wait for all processes, warm the node up and find the rate that saturates it."""
        self._camera.wait_until_ready(self._node, self._baseline)
        self._listener.wait_until_matched(MATCH_TIMEOUT_S)
        if not self.saturating_hz:
            trace = self.bare.run(Run(seconds=self._settings.rounds.seconds))
            rate_hz = measure_performance(trace)[f"{BASIC}MEAN_FRAME_RATE"]
            self.saturating_hz = SATURATION * rate_hz
        self.run_node(self._settings.rounds.rates_hz[0])

    def describe_node(self) -> dict[str, str]:
        """Return the backend and precision that the node reports: it may use another engine."""
        return describe_serving(self._listener, [NODE_NAME])

    def record_profiles(self, profiler: Profiler, path: Path) -> None:
        """Profile the node and the bare model at peak.

        Raises:
            ProxiaError: a profile could not be recorded.
        """
        bare_path = path.with_stem(f"{path.stem}-bare")
        for pid, run, profile_path in (
            (self._node.pid, self.run_node, path),
            (self.bare.pid, self.run_bare, bare_path),
        ):
            with profiler.recording(pid, PROFILE_S, profile_path) as is_over:
                while not is_over():
                    run(PEAK_HZ)

    def run_node(self, rate_hz: float) -> Trace:
        """Let the camera publish a run to the node.

        Raises:
            ProxiaError: no labels came back.
        """
        run = self._choose_run(rate_hz)
        self._listener.clear()
        with LoadWatch([self._node.pid]) as watch:
            sent_s = self._camera.send(TO_NODE, run)
            trace = collect_trace(self._listener, CAMERA, NODE_NAME, sent_s)
        self._node.check_alive()
        count_labels(trace)
        return trace.with_load(watch.describe())

    def run_bare(self, rate_hz: float) -> Trace:
        """Call the bare model while the camera publishes to the baseline subscriber."""
        sending = self._camera.begin(TO_BASELINE, self._choose_run(rate_hz))
        trace = self.bare.run(Run(rate_hz=rate_hz, seconds=self._settings.rounds.seconds))
        sending.result()
        self._baseline.check_alive()
        return trace

    def _choose_run(self, rate_hz: float) -> Run:
        sent_hz = self.saturating_hz if rate_hz == PEAK_HZ else rate_hz
        return Run(rate_hz=sent_hz, seconds=self._settings.rounds.seconds)


def open_listener(topics: Mapping[str, str], stack: ExitStack) -> "BenchmarkListener":
    """Listen to label topics, by names that the caller chooses; the stack ends it."""
    from proxia_segmentation_ros.ros.client.benchmark_listener import BenchmarkListener
    from proxia_segmentation_ros.ros.client.session import RosSession

    session = stack.enter_context(RosSession("proxia_benchmark_user"))
    listener = BenchmarkListener(session, topics)
    stack.callback(listener.close)
    return listener
