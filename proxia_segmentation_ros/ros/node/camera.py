"""One camera of the node: publishers from *configure* on, subscriptions while active."""

import time
from collections.abc import Callable
from functools import partial

from builtin_interfaces.msg import Time
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from proxia_segmentation_ros.inference.segmenter_factory import FrameSegmenter
from proxia_segmentation_ros.pipeline.sink import SharedSettings
from proxia_segmentation_ros.pipeline.stream import CameraStream, decode_message
from proxia_segmentation_ros.pipeline.timing import LedgerCounts, RateMeter
from proxia_segmentation_ros.pipeline.workers import FrameWorkers
from proxia_segmentation_ros.ros.diagnostics import ERROR, OK, WARN, Finding
from proxia_segmentation_ros.ros.node.camera_input import CameraInput
from proxia_segmentation_ros.ros.node.camera_output import CameraOutput, make_header
from proxia_segmentation_ros.ros.node.cv_bridge_fallback import convert_with_cv_bridge
from proxia_segmentation_ros.ros.node.messages import make_label_info, make_stats
from proxia_segmentation_ros.ros.node.throttled_log import ThrottledLog

SILENCE_S = 2.0
LABEL_SILENCE_S = 1.5
# Of the expected images; with fewer something is wrong.
LEAST_SHARE = 0.8


class Camera:
    """Connects one camera's topics to the worker threads and reports its state."""

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        prefix: str,
        settings: SharedSettings,
        segmenter: FrameSegmenter,
        notice_change: Callable[[], None],
    ) -> None:
        self.name = name
        self._node = node
        self._settings = settings
        self._segmenter = segmenter
        self._notice_change = notice_change
        self._frame_problems = ThrottledLog(node.get_logger().warning)
        self._time_problems = ThrottledLog(node.get_logger().warning)
        self._link_problems = ThrottledLog(node.get_logger().warning)
        self._output = CameraOutput(
            node, name, prefix, settings, segmenter.label_set, self._report_link
        )
        self._received = RateMeter()
        self._input: CameraInput | None = None
        self._stream: CameraStream | None = None

    @property
    def stream(self) -> CameraStream | None:
        """The stream of the current or last activation."""
        return self._stream

    def publish_label_info(self) -> None:
        """Publish the meaning of the label ids."""
        header = Header(stamp=self._node.get_clock().now().to_msg())
        threshold = self._settings.value.output.min_confidence
        info = make_label_info(header, self._segmenter.label_set, threshold)
        self._output.label_info.publish(info)

    def subscribe(self, workers: FrameWorkers) -> CameraStream:
        """Subscribe to the camera; its frames are ignored until the workers have its stream."""
        transport = self._settings.value.camera(self.name).transport
        self._received = RateMeter()
        # The subscription calls the workers directly, to keep the path of a frame short.
        self._input = CameraInput(
            self._node,
            self.name,
            self._settings,
            partial(workers.put, self.name),
            self._report_link,
            self._report_frame,
        )
        self._stream = CameraStream(
            self.name,
            self._settings,
            self._segmenter.label_set,
            self._output,
            decode=partial(
                decode_message,
                settings=self._settings,
                is_compressed=transport == "compressed",
                fallback=convert_with_cv_bridge,
            ),
            report=self._report_frame,
            find_geometry=self._input.find_geometry if self._input.has_geometry else None,
            now_ns=self._read_clock_ns,
            report_time=self._report_time,
        )
        return self._stream

    def _read_clock_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def unsubscribe(self) -> None:
        """Destroy the subscriptions."""
        if self._input is not None:
            self._input.destroy()
        self._input = None

    def destroy(self) -> None:
        """Remove every topic."""
        self.unsubscribe()
        self._output.destroy()

    def is_labelling(self) -> bool:
        """Tell whether labels are fresh, or the first image is still awaited."""
        stream = self._stream
        return stream is None or not (
            stream.ledger.counts().received
            and stream.ledger.label_silence_s() > self._find_label_silence_limit_s()
        )

    def _find_label_silence_limit_s(self) -> float:
        """Return how old the newest label may be: longer where frames are slow on purpose."""
        inference = self._settings.value.inference
        slowest_s = 2.0 / inference.max_rate_hz if inference.max_rate_hz > 0 else 0.0
        return max(LABEL_SILENCE_S, inference.frame_deadline_ms / 1e3, slowest_s)

    def publish_heartbeat(self) -> None:
        """Publish the header of the newest labelled frame while labels are fresh.

        Before the first frame its stamp is 0.
        """
        if self._stream is not None and self.is_labelling():
            stream = self._stream
            header = make_header(stream.newest.stamp, stream.newest.frame_id)
            self._output.heartbeat.publish(header)

    def publish_stats(self, stamp: Time) -> None:
        """Publish the counters since activation and the statistics of the last second."""
        if self._stream is None:
            return
        stream = self._stream
        header = Header(stamp=stamp, frame_id=stream.newest.frame_id)
        self._output.stats.publish(
            make_stats(
                header,
                self.name,
                stream.ledger.counts(),
                stream.meter.times(time.monotonic()),
                self._segmenter.backend,
                self._segmenter.precision,
                stream.newest.tiles,
            )
        )

    def find_status(self) -> Finding:
        """Return the camera's diagnostic status."""
        part = f"camera {self.name}"
        source, stream = self._input, self._stream
        if source is None or stream is None:
            return Finding(part=part, level=OK, message="not subscribed")
        run = stream.newest
        counts = stream.ledger.counts()
        now_s = time.monotonic()
        times = stream.meter.times(now_s)
        received_hz = self._received.add(counts.received, now_s)
        level, problem = self._find_problem(source, stream)
        if problem is None and received_hz is not None:
            level, problem = WARN, self._find_missing(received_hz)
        values: dict[str, object] = {"image_topic": source.image_topic}
        values.update({name: getattr(counts, name) for name in LedgerCounts.__dataclass_fields__})
        values.update(
            {
                "received_hz": float("nan") if received_hz is None else received_hz,
                "rate_hz": times.rate_hz,
                "latency_ms_p50": times.latency_ms[0],
                "latency_ms_p99": times.latency_ms[2],
                "age_ms_p50": times.age_ms[0],
                "age_ms_p99": times.age_ms[2],
                "inference_ms": times.inference_ms,
                **{f"stage_{name}_ms": spent_ms for name, spent_ms in times.stages_ms.items()},
                "tiles": f"{run.tiles[0]}/{run.tiles[1]}",
                "scales": " ".join(f"{scale:g}" for scale in run.scales),
                "complaints": self._frame_problems.count + self._link_problems.count,
                "last_complaint": self._frame_problems.last or self._link_problems.last or "",
            }
        )
        if problem is not None:
            return Finding(part=part, level=level, message=problem, values=values)
        message = "labelling" if counts.labelled else "no image yet"
        return Finding(part=part, level=OK, message=message, values=values)

    def _find_problem(self, source: CameraInput, stream: CameraStream) -> tuple[bytes, str | None]:
        """Return the level and a sentence; without labels it is an error, whatever the cause."""
        recent = self._frame_problems.recent or self._link_problems.recent
        if stream.ledger.silence_s() > SILENCE_S:
            waited = self._explain_silence(source)
            has_begun = stream.ledger.counts().received > 0
            return (ERROR if has_begun else WARN), waited if recent is None else recent
        if not self.is_labelling():
            silence = f"no label for {stream.ledger.label_silence_s():.0f} s, though images arrive"
            return ERROR, silence if recent is None else f"{silence}: {recent}"
        is_late, time_problem = stream.freshness.recent() or (False, None)
        if is_late or recent is None:
            return (ERROR if is_late else WARN), time_problem
        return WARN, recent

    def _find_missing(self, received_hz: float) -> str | None:
        expected_hz = self._settings.value.camera(self.name).expected_rate_hz
        if received_hz >= LEAST_SHARE * expected_hz:
            return None
        return (
            f"{received_hz:.1f} images a second arrive; expected {expected_hz:g} "
            f"(cameras.{self.name}.expected_rate_hz); look at the camera, the network and /dev/shm"
        )

    def _explain_silence(self, source: CameraInput) -> str:
        topic = source.image_topic
        offers = self._node.get_publishers_info_by_topic(topic)
        wanted = f"sensor_msgs/msg/{source.image_type.__name__}"
        other_types = sorted({offer.topic_type for offer in offers} - {wanted})
        text = f"waiting for images on {topic} ({len(offers)} publishers)"
        if other_types:
            return (
                f"{text}: it carries {', '.join(other_types)}; expected {wanted}; "
                f"set cameras.{self.name}.transport or cameras.{self.name}.image_topic"
            )
        if offers and self._link_problems.last is not None:
            return f"{text}: {self._link_problems.last}"
        return text

    def report_overdue(self, stage: str, age_s: float) -> None:
        """Tell that a frame of this camera was given up."""
        self._report_frame(f"a frame was given up after {age_s:.1f} s in the step {stage}")

    def _report_time(self, sentence: str) -> None:
        # Diagnostics show it once a second: it may come with every frame, with other numbers.
        self._time_problems.add(f"camera {self.name}: {sentence}")

    def _report_frame(self, sentence: str) -> None:
        # Others of its kind wait for the next report: they may come with every frame.
        if self._frame_problems.add(f"camera {self.name}: {sentence}"):
            self._notice_change()

    def _report_link(self, sentence: str) -> None:
        self._link_problems.add(f"camera {self.name}: {sentence}")
        self._notice_change()
