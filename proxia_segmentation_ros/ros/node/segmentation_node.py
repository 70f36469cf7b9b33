"""The managed segmentation node: camera images in, labels and object summaries out."""

import time
import traceback
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

from builtin_interfaces.msg import Time
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.errors import BackendError, ConfigError, ProxiaError
from proxia_segmentation_ros.inference.engine_upgrade import UpgradeStatus
from proxia_segmentation_ros.inference.segmenter_factory import (
    EngineFinder,
    SegmenterFactory,
    find_missing_engines,
    load_segmenter,
)
from proxia_segmentation_ros.pipeline.model_host import LoadingStopped, ModelHost, describe_model
from proxia_segmentation_ros.pipeline.sink import SharedSettings
from proxia_segmentation_ros.pipeline.stream import SegmentFrames
from proxia_segmentation_ros.ros.diagnostics import ERROR, OK, WARN, DiagnosticsBoard, Finding
from proxia_segmentation_ros.ros.node.camera import Camera
from proxia_segmentation_ros.ros.node.camera_input import check_topics
from proxia_segmentation_ros.ros.node.parameters import NodeParameters
from proxia_segmentation_ros.ros.node.process import run_node

REPORT_PERIOD_S = 1.0
HEARTBEAT_PERIOD_S = 0.1
PAUSE_TIMEOUT_S = 5.0


class SegmentationNode(LifecycleNode):
    """Label the images of one or several cameras.

    Callbacks run in the executor's thread and are short, the transitions apart; the pipeline's
    workers do everything that a frame needs.
    """

    def __init__(
        self,
        node_name: str = "proxia",
        *,
        segmenter_factory: SegmenterFactory = load_segmenter,
        engine_finder: EngineFinder = find_missing_engines,
        **node_options: Any,
    ) -> None:
        super().__init__(node_name, **node_options)
        self._segmenter_factory = segmenter_factory
        self._engine_finder = engine_finder
        self._stopping = Event()
        self._phase = "unconfigured"
        self._failure: str | None = None
        self._host: ModelHost | None = None
        self._settings: SharedSettings | None = None
        self.cameras: list[Camera] = []
        self._reported_at_s = 0.0
        self._terms_told: set[str] = set()
        self._board = DiagnosticsBoard(self)
        self._declared = NodeParameters(self)
        # Simulated time may stand still or jump; reports go out by the wall.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._news = self.create_guard_condition(self._publish_news)
        self.create_timer(REPORT_PERIOD_S, self._publish_report, clock=self._steady)
        self._heartbeat = self.create_timer(
            HEARTBEAT_PERIOD_S, self._publish_heartbeats, clock=self._steady
        )
        self._autostart = self.create_timer(0.0, self._start_by_itself, clock=self._steady)

    # Transitions

    def on_configure(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm the model, create the publishers."""
        return self._attempt("configure", self._configure, self._release)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enable the publishers, send the label info, subscribe."""
        return self._attempt(
            "activate", lambda: self._activate(state), lambda: self._deactivate(state)
        )

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the cameras; the model stays."""
        return self._attempt("deactivate", lambda: self._deactivate(state), lambda: None)

    def on_cleanup(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and remove the topics."""
        return self._attempt("clean up", self._release, lambda: None)

    def on_shutdown(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything."""
        result = self._attempt("shut down", self._release, lambda: None)
        self._phase = "finalized"
        return result

    def on_error(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, so that the node can be configured again."""
        return self._attempt("recover", self._release, lambda: None)

    # Parameters

    def set_parameters_atomically(
        self, parameter_list: "list[Parameter[Any]]"
    ) -> SetParametersResult:
        """Judge a set of changes as one; live ones take effect while no frame is under way."""
        try:
            changes = self._declared.check_change(
                parameter_list, is_configured=self._settings is not None
            )
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        result = super().set_parameters_atomically(changes)
        if result.successful:
            self._declared.accept_change(parameter_list)
            self._apply_settings()
        return result

    def set_parameters(self, parameter_list: "list[Parameter[Any]]") -> list[SetParametersResult]:
        """Judge changes one by one."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    @property
    def settings(self) -> NodeSettings | None:
        """The settings in force; None while unconfigured."""
        return None if self._settings is None else self._settings.value

    def _apply_settings(self) -> None:
        host = self._host
        if host is None:
            return
        settings = self._declared.settings()
        host.workers.run(lambda: self._swap_settings(settings))

    def _swap_settings(self, settings: NodeSettings) -> None:
        """Run by a worker, while no frame is under way."""
        shared, host = self._settings, self._host
        if shared is None or host is None:
            return
        before, shared.value = shared.value, settings
        if settings.inference.max_rate_hz != before.inference.max_rate_hz:
            host.workers.limit_rate(settings.inference.max_rate_hz)
        if self._phase == "active" and (
            settings.output.min_confidence != before.output.min_confidence
        ):
            for camera in self.cameras:
                camera.publish_label_info()

    # The process around the node

    def request_stop(self) -> None:
        """End whatever transition is under way; safe to call from any thread."""
        self._stopping.set()

    def close(self) -> bool:
        """Free everything within about two seconds; False when the model is still busy."""
        self._stopping.set()
        return self._release()

    def destroy_node(self) -> None:
        """Leave the ROS graph; the cameras' threads end first."""
        for camera in self.cameras:
            camera.unsubscribe()
        super().destroy_node()

    # Steps of the transitions

    def _attempt(
        self, verb: str, do: Callable[[], object], undo: Callable[[], object]
    ) -> TransitionCallbackReturn:
        # rclpy drops exceptions of transition callbacks without a word.
        try:
            do()
        except LoadingStopped:
            undo()
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # noqa: BLE001 - logged, undone and answered with FAILURE
            expected = isinstance(error, ProxiaError)
            sentence = str(error) if expected else f"{type(error).__name__}: {error}"
            self._failure = f"can't {verb}: {sentence}"
            self.get_logger().error(self._failure)
            if not expected:
                self.get_logger().error(traceback.format_exc())
            undo()
            self._publish_report()
            return TransitionCallbackReturn.FAILURE
        self._failure = None
        self._publish_report()
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        settings = self._declared.settings()
        for name in settings.camera_names:
            check_topics(self, name, settings.camera(name))
        self._phase = f"loading {settings.model.weights}"
        self._publish_report()
        self._host = ModelHost(
            self._segmenter_factory, settings, self._wait_for_model, self._engine_finder
        )
        self._settings = SharedSettings(settings)
        self._host.workers.limit_rate(settings.inference.max_rate_hz)
        for name in settings.camera_names:
            prefix = "~/" if len(settings.camera_names) == 1 else f"~/{name}/"
            self.cameras.append(
                Camera(self, name, prefix, self._settings, self._host.segmenter, self._news.trigger)
            )
        self._phase = "inactive"
        self._tell_model(self._host, settings)
        self._host.start_upgrade(self._tell_engine)

    def _activate(self, state: LifecycleState) -> None:
        host, settings = self._host, self._settings
        if host is None or settings is None:
            raise BackendError.from_parts(
                "there is no model", "a configured node", "clean up and configure again"
            )
        super().on_activate(state)
        for camera in self.cameras:
            camera.publish_label_info()
        streams = [camera.subscribe(host.workers) for camera in self.cameras]
        segment = SegmentFrames(host.segmenter, settings)
        host.workers.open(streams, segment, segment.find_capacity)
        for name in self._declared.unused_qos_overrides():
            self.get_logger().warning(f"{name} is for a topic that this node does not have")
        self._phase = "active"

    def _deactivate(self, state: LifecycleState) -> None:
        self._stop_cameras()
        # The last counters of this activation: they hold what was dropped by stopping.
        self._publish_stats(self.get_clock().now().to_msg())
        super().on_deactivate(state)

    def _stop_cameras(self) -> None:
        for camera in self.cameras:
            camera.unsubscribe()
        if self._host is not None:
            give_up_s = time.monotonic() + PAUSE_TIMEOUT_S
            while not self._host.workers.pause(0.05):
                if self._stopping.is_set():
                    break
                if time.monotonic() > give_up_s:
                    self.get_logger().warning("the model is still busy with its last frame")
                    break
            self._phase = "inactive"

    def _release(self) -> bool:
        self._stop_cameras()
        has_closed = self._host is None or self._host.close()
        for camera in self.cameras:
            camera.destroy()
        self.cameras = []
        self._host = None
        self._settings = None
        self._phase = "unconfigured"
        return has_closed

    def _wait_for_model(self) -> None:
        if self._stopping.is_set():
            raise LoadingStopped("stopped while the model loaded")
        if time.monotonic() - self._reported_at_s > REPORT_PERIOD_S:
            self._publish_report()

    def _start_by_itself(self) -> None:
        self._autostart.cancel()
        if not self.get_parameter("autostart").value or self._phase != "unconfigured":
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def _tell_model(self, host: ModelHost, settings: NodeSettings) -> None:
        facts = describe_model(host.segmenter, settings)
        text = ", ".join(f"{key} {value}" for key, value in facts.items())
        self.get_logger().info(f"model is ready after {host.load_time_s:.1f} s: {text}")
        terms = host.segmenter.card.terms
        if terms and terms not in self._terms_told:
            self._terms_told.add(terms)
            self.get_logger().info(f"terms of the weights {host.segmenter.card.name}: {terms}")

    def _tell_engine(self, status: UpgradeStatus) -> None:
        """Run in the thread that has the engine built."""
        text = f"engine {status.state} after {status.elapsed_s:.1f} s: {status.step}"
        if status.state == "failed":
            self.get_logger().error(f"{text}; serving on without it")
        else:
            self.get_logger().info(text)
        self._news.trigger()

    # Reports

    def _publish_heartbeats(self) -> None:
        if self._phase == "active":
            for camera in self.cameras:
                camera.publish_heartbeat()

    def _publish_report(self) -> None:
        self._reported_at_s = time.monotonic()
        stamp = self.get_clock().now().to_msg()
        if self._phase == "active":
            self._publish_stats(stamp)
        self._board.publish(self._find(), stamp)

    def _publish_stats(self, stamp: Time) -> None:
        for camera in self.cameras:
            camera.publish_stats(stamp)

    def _publish_news(self) -> None:
        self._board.publish_if_changed(self._find(), self.get_clock().now().to_msg())

    def _find(self) -> list[Finding]:
        values: dict[str, object] = {"state": self._phase}
        if self._host is not None and self._settings is not None:
            values.update(describe_model(self._host.segmenter, self._settings.value))
        level, message = (OK, self._phase) if self._failure is None else (ERROR, self._failure)
        status = None if self._host is None else self._host.upgrade_status
        if status is not None:
            values.update(status.to_values())
            if status.state == "failed" and level == OK:
                level, message = WARN, f"{message}; no engine: {status.step}"
            elif status.state in ("building", "loading"):
                message = f"{message}; {status.state} an engine"
        model = Finding(part="model", level=level, message=message, values=values)
        return [model, *(camera.find() for camera in self.cameras)]


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; return the exit code."""
    return run_node(SegmentationNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
