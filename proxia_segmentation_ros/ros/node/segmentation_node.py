"""The lifecycle node: subscribes to camera images, publishes labels and object summaries."""

import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, wait
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
from proxia_segmentation_ros.pipeline.attempt import Attempt
from proxia_segmentation_ros.pipeline.model_host import LoadingStopped, ModelHost, describe_model
from proxia_segmentation_ros.pipeline.sink import SharedSettings
from proxia_segmentation_ros.pipeline.stream import SegmentFrames
from proxia_segmentation_ros.ros.diagnostics import DiagnosticsBoard, Finding
from proxia_segmentation_ros.ros.node.camera import Camera
from proxia_segmentation_ros.ros.node.log_bridge import LogBridge
from proxia_segmentation_ros.ros.node.model_status import (
    find_model_status,
    find_shared_memory_status,
)
from proxia_segmentation_ros.ros.node.parameters import NodeParameters
from proxia_segmentation_ros.ros.node.process import run_node
from proxia_segmentation_ros.ros.node.topics import find_prefix

REPORT_PERIOD_S = 1.0
HEARTBEAT_PERIOD_S = 0.1
PAUSE_TIMEOUT_S = 5.0
APPLY_TIMEOUT_S = 1.0
GAVE_UP = 70


class SegmentationNode(LifecycleNode):
    """Segments the images of one or several cameras.

    Callbacks run in the executor thread and are short, except for transitions. All work on frames
    is done by the threads of `FrameWorkers`.
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
        # Set when the process has to end: only a new one can help.
        self.exit_code: int | None = None
        self._were_labelling: list[bool] = []
        self._host: ModelHost | None = None
        self._settings: SharedSettings | None = None
        self.cameras: list[Camera] = []
        self._reported_at_s = 0.0
        self._logged_terms: set[str] = set()
        self._log_bridge = LogBridge(self.get_logger())
        self._board = DiagnosticsBoard(self)
        self._declared = NodeParameters(self)
        # Simulated time may stand still or jump, so reports use the steady clock.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._status_changed = self.create_guard_condition(self._publish_if_changed)
        self.create_timer(REPORT_PERIOD_S, self._publish_report, clock=self._steady)
        self._heartbeat = self.create_timer(
            HEARTBEAT_PERIOD_S, self._publish_heartbeats, clock=self._steady
        )
        self._autostart = self.create_timer(0.0, self._start_automatically, clock=self._steady)

    # Transitions

    def on_configure(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the model, create the publishers."""
        return self._attempt("configure", self._configure, self._release)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enable the publishers, publish the label info, subscribe."""
        return self._attempt(
            "activate", lambda: self._activate(state), lambda: self._deactivate(state)
        )

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe from the cameras; the model stays loaded."""
        return self._attempt("deactivate", lambda: self._deactivate(state), lambda: None)

    def on_cleanup(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and destroy the publishers."""
        return self._attempt("clean up", self._release, lambda: None)

    def on_shutdown(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Free all resources."""
        result = self._attempt("shut down", self._release, lambda: None)
        self._phase = "finalized"
        return result

    def on_error(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Free all resources, so that the node can be configured again."""
        return self._attempt("recover", self._release, lambda: None)

    # Parameters

    def set_parameters_atomically(
        self, parameter_list: "list[Parameter[Any]]"
    ) -> SetParametersResult:
        """Validate a set of changes as one; live changes take effect between two frames."""
        try:
            changes = self._declared.check_change(
                parameter_list, is_configured=self._settings is not None
            )
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        before = [self.get_parameter(c.name) for c in changes if self.has_parameter(c.name)]
        result = super().set_parameters_atomically(changes)
        if result.successful:
            obstacle = self._apply_settings()
            if obstacle is not None:
                super().set_parameters_atomically(before)
                return SetParametersResult(successful=False, reason=obstacle)
            self._declared.accept_change(parameter_list)
        return result

    def set_parameters(self, parameter_list: "list[Parameter[Any]]") -> list[SetParametersResult]:
        """Validate changes one by one."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    @property
    def settings(self) -> NodeSettings | None:
        """The current settings; None while unconfigured."""
        return None if self._settings is None else self._settings.value

    def _apply_settings(self) -> str | None:
        """Change the settings between two frames; return why this was not possible."""
        host = self._host
        if host is None:
            return None
        settings = self._declared.settings()
        change = host.workers.run(lambda: self._swap_settings(settings))
        if not wait([change], APPLY_TIMEOUT_S).done and change.cancel():
            return (
                f"a frame has been under way for {APPLY_TIMEOUT_S:g} s; expected a moment between "
                "two frames; nothing was changed, try it again"
            )
        try:
            change.result(APPLY_TIMEOUT_S)
        except (CancelledError, TimeoutError, ProxiaError) as error:
            return f"the change failed: {error or type(error).__name__}"
        return None

    def _swap_settings(self, settings: NodeSettings) -> None:
        """Replace the settings; runs as a worker task, so between two frames."""
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
        """Cancel the current transition; thread-safe."""
        self._stopping.set()

    def close(self) -> bool:
        """Free all resources within about two seconds; return False if the model is still busy."""
        self._stopping.set()
        return self._release()

    def destroy_node(self) -> None:
        """Destroy the node, after ending the log bridge and the receiver threads of its cameras."""
        for camera in self.cameras:
            camera.unsubscribe()
        self._log_bridge.close()
        super().destroy_node()

    # Steps of the transitions

    def _attempt(
        self, verb: str, do: Callable[[], object], undo: Callable[[], object]
    ) -> TransitionCallbackReturn:
        # rclpy silently swallows exceptions of transition callbacks.
        try:
            do()
        except LoadingStopped:
            undo()
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # noqa: BLE001 - logged, rolled back and returned as FAILURE
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
        self._phase = f"loading {settings.model.weights}"
        self._publish_report()
        self._host = ModelHost(
            self._segmenter_factory, settings, self._wait_for_model, self._engine_finder
        )
        self._settings = SharedSettings(settings)
        self._host.workers.limit_rate(settings.inference.max_rate_hz)
        for name in settings.camera_names:
            prefix = find_prefix(settings, name)
            self.cameras.append(
                Camera(
                    self,
                    name,
                    prefix,
                    self._settings,
                    self._host.segmenter,
                    self._status_changed.trigger,
                )
            )
        self._phase = "inactive"
        self._log_model(self._host, settings)
        self._host.start_watching(
            self._find_deadline_s,
            self._on_overdue,
            self._status_changed.trigger,
            self._give_up,
        )
        self._host.start_upgrade(self._on_engine_status)

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
        segment = SegmentFrames(host.segmenter, settings, host.lend)
        host.workers.open(streams, segment, segment.find_capacity)
        for name in self._declared.unused_qos_overrides():
            self.get_logger().warning(f"{name} is for a topic that this node does not have")
        self._phase = "active"

    def _deactivate(self, state: LifecycleState) -> None:
        self._stop_cameras()
        # The last statistics of this activation count the frames that stopping dropped.
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

    def _start_automatically(self) -> None:
        self._autostart.cancel()
        if not self.get_parameter("autostart").value or self._phase != "unconfigured":
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def _log_model(self, host: ModelHost, settings: NodeSettings) -> None:
        facts = describe_model(host.segmenter, settings)
        text = ", ".join(f"{key} {value}" for key, value in facts.items())
        self.get_logger().info(f"model is ready after {host.load_time_s:.1f} s: {text}")
        terms = host.segmenter.card.terms
        if terms and terms not in self._logged_terms:
            self._logged_terms.add(terms)
            self.get_logger().info(f"terms of the weights {host.segmenter.card.name}: {terms}")

    def _find_deadline_s(self) -> float:
        settings = self._settings
        return 0.0 if settings is None else settings.value.inference.frame_deadline_ms / 1e3

    def _on_overdue(self, attempt: Attempt) -> None:
        """Tell of the frames that were given up; called from the watchdog's thread."""
        for camera in self.cameras:
            if camera.name in attempt.cameras:
                camera.report_overdue(attempt.stage, attempt.age_s)

    def _give_up(self, sentence: str) -> None:
        """End the process: no model serves any more. Called from another thread."""
        self.get_logger().fatal(
            f"{sentence}; ending with exit code {GAVE_UP}, for a supervisor to start anew"
        )
        self.exit_code = GAVE_UP
        self._status_changed.trigger()

    def _on_engine_status(self, status: UpgradeStatus) -> None:
        """Log the progress of the engine build; called from the thread that runs it."""
        text = f"engine {status.state} after {status.elapsed_s:.1f} s: {status.step}"
        if status.state == "failed":
            self.get_logger().error(f"{text}; serving on without it")
        else:
            self.get_logger().info(text)
        self._status_changed.trigger()

    # Reports

    def _publish_heartbeats(self) -> None:
        if self._phase == "active":
            for camera in self.cameras:
                camera.publish_heartbeat()
            are_labelling = [camera.is_labelling() for camera in self.cameras]
            if are_labelling != self._were_labelling:
                self._were_labelling = are_labelling
                self._publish_if_changed()

    def _publish_report(self) -> None:
        self._reported_at_s = time.monotonic()
        stamp = self.get_clock().now().to_msg()
        if self._phase == "active":
            self._publish_stats(stamp)
        self._board.publish(self._collect_status(), stamp)

    def _publish_stats(self, stamp: Time) -> None:
        for camera in self.cameras:
            camera.publish_stats(stamp)

    def _publish_if_changed(self) -> None:
        self._board.publish_if_changed(self._collect_status(), self.get_clock().now().to_msg())

    def _collect_status(self) -> list[Finding]:
        settings = None if self._settings is None else self._settings.value
        model = find_model_status(
            self._phase, self._failure, self._host, settings, self._log_bridge.problems
        )
        memory = find_shared_memory_status()
        return [model, *memory, *(camera.find_status() for camera in self.cameras)]


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; return the exit code."""
    return run_node(SegmentationNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
