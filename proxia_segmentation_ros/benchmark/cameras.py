"""Two cameras on one node against a node for each and one camera alone; a camera killed."""

import os
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from proxia_segmentation_ros.benchmark.local import RoundSettings
from proxia_segmentation_ros.benchmark.node import open_listener
from proxia_segmentation_ros.benchmark.node_processes import (
    MATCH_TIMEOUT_S,
    collect_trace,
    describe_serving,
    make_bare_variant,
    name_camera_topic,
    name_labels_topic,
    prepare_domain,
    start_node,
)
from proxia_segmentation_ros.benchmark.process_load import LoadWatch
from proxia_segmentation_ros.benchmark.report import (
    describe_machine,
    describe_variant,
    make_report,
)
from proxia_segmentation_ros.benchmark.rounds import (
    PEAK_HZ,
    Measurement,
    is_saturated,
    run_rounds,
)
from proxia_segmentation_ros.benchmark.run import Run
from proxia_segmentation_ros.benchmark.trace import (
    BASIC,
    Trace,
    measure_performance,
    merge_traces,
)
from proxia_segmentation_ros.benchmark.workers.camera import BenchmarkCamera
from proxia_segmentation_ros.errors import BackendError, ProxiaError
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.progress import Progress
from proxia_segmentation_ros.ros.client.node_process import NODE_MODULE, NodeProcess

CAMERAS = ("left", "right")
TOGETHER, APART, ALONE = "together", "apart", "alone"
NAMES = {
    TOGETHER: "one node, two cameras",
    APART: "two nodes",
    ALONE: "one camera alone",
}
JOINT_NODE = "proxia_benchmark_both"
PROBING_HZ = 60.0


@dataclass(frozen=True, kw_only=True)
class CamerasBenchmarkSettings:
    """`kill_rate_hz` is the rate of both cameras while the left one is killed; 0 kills none.

    `saturating_hz` 0 is, for each of two cameras, the rate at which the machine labels both.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    rounds: RoundSettings = field(default_factory=RoundSettings)
    kill_rate_hz: float = 0.0
    saturating_hz: float = 0.0
    node_module: str = NODE_MODULE


def run_cameras_benchmark(settings: CamerasBenchmarkSettings, progress: Progress) -> dict[str, Any]:
    """Return the report: one node with both cameras against a node for each and one camera.

    Raises:
        WeightsError: the weights can't be read.
        ConfigError: a parameter is out of its range.
        InputError: the images can't be read.
        ProxiaError: a process has ended.
    """
    weights = make_bare_variant(settings.parameters).weights
    read_card(weights)
    prepare_domain()
    machine = describe_machine()
    progress.begin("starting the processes")
    with ExitStack() as stack:
        bench = CamerasBench(settings, stack)
        bench.wait_until_ready()
        runs = {variant: partial(bench.run, variant) for variant in NAMES}
        traces = run_rounds(runs, settings.rounds.rates_hz, settings.rounds.rounds, progress)
        killed = bench.measure_kill(settings.kill_rate_hz) if settings.kill_rate_hz else None
        together, apart, alone = (
            Measurement(
                name=name,
                description={
                    "weights": weights,
                    **bench.describe_nodes(variant),
                    "parameters": dict(settings.parameters),
                },
                traces=traces[variant],
            )
            for variant, name in NAMES.items()
        )
    report_settings = {**settings.rounds.describe(), "saturating_hz": round(bench.saturating_hz, 1)}
    report = make_report("two cameras", together, apart, report_settings, machine)
    report["custom"]["alone"] = describe_variant(together, alone)
    if PEAK_HZ in together.traces:
        report["custom"]["is_saturated"] = is_saturated(together, apart, alone)
    if killed is not None:
        report["custom"]["killed_camera"] = killed
    return report


class CamerasBench:
    """Two cameras and three nodes: a joint one, and one for each camera."""

    def __init__(self, settings: CamerasBenchmarkSettings, stack: ExitStack) -> None:
        """Start all processes; the stack ends them."""
        self._settings = settings
        self._stack = stack
        self._nodes = {JOINT_NODE: self._start(JOINT_NODE, CAMERAS)}
        for camera in CAMERAS:
            name = _name_node(APART, camera)
            self._nodes[name] = self._start(name, (camera,))
        self._cameras = {camera: self._start_camera(camera) for camera in CAMERAS}
        topics = {
            _name_stream(variant, camera): name_labels_topic(
                _name_node(variant, camera), camera, len(CAMERAS) if variant == TOGETHER else 1
            )
            for variant in (TOGETHER, APART)
            for camera in CAMERAS
        }
        self._listener = open_listener(topics, stack)
        self.saturating_hz = settings.saturating_hz

    def wait_until_ready(self) -> None:
        """Wait for all processes, warm the nodes up and find the rate that saturates them."""
        for camera in self._cameras.values():
            camera.wait_until_ready(*self._nodes.values())
        self._listener.wait_until_matched(MATCH_TIMEOUT_S)
        if self.saturating_hz:
            for variant in NAMES:
                self.run(variant, PEAK_HZ)
            return
        self.saturating_hz = PROBING_HZ
        probes = [self.run(variant, PEAK_HZ) for variant in (TOGETHER, APART)]
        # Each camera alone could keep the faster variant busy: both always have a frame waiting.
        rates_hz = [
            measure_performance(probe).get(f"{BASIC}MEAN_FRAME_RATE", 0.0) for probe in probes
        ]
        self.saturating_hz = max(*rates_hz, 1.0)

    def run(self, variant: str, rate_hz: float) -> Trace:
        """Let the cameras of a variant publish a run at the same time; return the merged trace."""
        cameras = _list_cameras(variant)
        run = self._choose_run(rate_hz, len(cameras))
        self._listener.clear()
        names = _name_nodes(variant)
        with LoadWatch([self._nodes[name].pid for name in names]) as watch:
            sending = {camera: self._begin(variant, camera, run) for camera in cameras}
            sent_s = {camera: future.result() for camera, future in sending.items()}
            traces = [self._collect(variant, camera, sent_s[camera]) for camera in cameras]
        for name in names:
            self._nodes[name].check_alive()
        return merge_traces(traces).with_load(watch.describe())

    def describe_nodes(self, variant: str) -> dict[str, str]:
        """Return backend and precision of the variant's nodes."""
        return describe_serving(self._listener, _name_nodes(variant))

    def measure_kill(self, rate_hz: float) -> dict[str, Any]:
        """Return how many frames the right camera misses, without and with the left one killed.

        The left camera has ended afterwards.
        """
        run = Run(rate_hz=rate_hz, seconds=max(2.0, self._settings.rounds.seconds))
        figures: dict[str, Any] = {"rate_hz": rate_hz}
        for name, kills in (("undisturbed", False), ("other_killed", True)):
            self._listener.clear()
            killed, staying = (self._begin(TOGETHER, camera, run) for camera in CAMERAS)
            if kills:
                self._wait_for_half(run)
                self._cameras[CAMERAS[0]].kill()
            sent_s = staying.result()
            try:
                killed.result()
            except BackendError:
                if not kills:
                    raise
            trace = self._collect(TOGETHER, CAMERAS[1], sent_s)
            left_labels = self._listener.arrivals(_name_stream(TOGETHER, CAMERAS[0]))
            figures[name] = {
                "sent": len(trace.sent_s),
                "missed": trace.missed,
                "labels_of_other": len(left_labels),
            }
        self._nodes[JOINT_NODE].check_alive()
        return figures

    def _wait_for_half(self, run: Run) -> None:
        """Wait until half of the left camera's frames are labelled.

        Raises:
            ProxiaError: they aren't before the run ends, so that no camera would be killed in it.
        """
        name, half = _name_stream(TOGETHER, CAMERAS[0]), run.frames_due // 2
        if not self._listener.wait_for_count(name, half, run.seconds):
            raise ProxiaError.from_parts(
                f"a camera at {run.rate_hz:g} Hz got fewer than {half} labels in {run.seconds:g} s",
                "half of its frames labelled by then, so that it dies in mid-run",
                "lower --kill",
            )

    def _collect(self, variant: str, camera: str, sent_s: Mapping[int, float]) -> Trace:
        name = _name_stream(variant, camera)
        return collect_trace(self._listener, name, _name_node(variant, camera), sent_s)

    def _begin(self, variant: str, camera: str, run: Run) -> "Future[dict[int, float]]":
        return self._cameras[camera].begin(_name_node(variant, camera), run)

    def _choose_run(self, rate_hz: float, cameras: int) -> Run:
        """Return the run of each camera: at peak, one alone sends as much as two together."""
        at_peak_hz = self.saturating_hz * len(CAMERAS) / cameras
        sent_hz = at_peak_hz if rate_hz == PEAK_HZ else rate_hz
        return Run(rate_hz=sent_hz, seconds=self._settings.rounds.seconds)

    def _start(self, name: str, cameras: tuple[str, ...]) -> NodeProcess:
        settings = self._settings
        return start_node(name, cameras, settings.parameters, self._stack, settings.node_module)

    def _start_camera(self, camera: str) -> BenchmarkCamera:
        topics = {}
        for variant in (TOGETHER, APART):
            node = _name_node(variant, camera)
            topics[node] = (name_camera_topic(node, camera), f"/{node}")
        images = self._settings.rounds.images
        return self._stack.enter_context(BenchmarkCamera(camera, topics, images, os.environ))


def _list_cameras(variant: str) -> tuple[str, ...]:
    return CAMERAS[:1] if variant == ALONE else CAMERAS


def _name_node(variant: str, camera: str) -> str:
    return JOINT_NODE if variant == TOGETHER else f"proxia_benchmark_{camera}"


def _name_nodes(variant: str) -> list[str]:
    return sorted({_name_node(variant, camera) for camera in _list_cameras(variant)})


def _name_stream(variant: str, camera: str) -> str:
    return f"{_name_node(variant, camera)} {camera}"
