"""One camera of the node: its publishers from configure on, its subscriptions while active."""

import time
from collections.abc import Callable
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from proxia_segmentation_ros.inference.segmenter_factory import FrameSegmenter
from proxia_segmentation_ros.pipeline.stream import Stream
from proxia_segmentation_ros.pipeline.timing import LedgerCounts
from proxia_segmentation_ros.pipeline.workers import Pipeline
from proxia_segmentation_ros.ros.diagnostics import OK, WARN, Finding
from proxia_segmentation_ros.ros.node.camera_input import CameraInput
from proxia_segmentation_ros.ros.node.camera_output import CameraOutput
from proxia_segmentation_ros.ros.node.camera_stream import CameraStream, SharedSettings
from proxia_segmentation_ros.ros.node.messages import make_label_info, make_stats
from proxia_segmentation_ros.ros.node.throttled_log import Complaints

SILENCE_S = 2.0


class Camera:
    """Tie one camera's topics to the pipeline and say how it fares."""

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
        self._frame_problems = Complaints(node.get_logger().warning)
        self._link_problems = Complaints(node.get_logger().warning)
        self._output = CameraOutput(node, prefix, self._report_link)
        self._input: CameraInput | None = None
        self._stream: CameraStream | None = None
        self._heard_at_s = 0.0

    @property
    def stream(self) -> Stream[Any, Any, Any] | None:
        """The newest activation's stream."""
        return None if self._stream is None else self._stream.stream

    def publish_label_info(self) -> None:
        """Tell what the label ids mean."""
        header = Header(stamp=self._node.get_clock().now().to_msg())
        threshold = self._settings.value.output.min_confidence
        info = make_label_info(header, self._segmenter.label_set, threshold)
        self._output.label_info.publish(info)

    def subscribe(self, pipeline: Pipeline) -> CameraStream:
        """Listen to the camera; frames wait in the pipeline until its streams are open."""
        name = self.name

        def put_image(buffer: bytes) -> None:
            self._heard_at_s = time.monotonic()
            pipeline.put(name, buffer)

        self._heard_at_s = time.monotonic()
        self._input = CameraInput(
            self._node, name, self._settings.value.camera(name), put_image, self._report_link
        )
        self._stream = CameraStream(
            name,
            self._settings,
            self._segmenter.label_set,
            self._input,
            self._output,
            self._report_frame,
            self._node.get_clock(),
        )
        return self._stream

    def unsubscribe(self) -> None:
        """Stop to listen."""
        if self._input is not None:
            self._input.destroy()
        self._input = None

    def destroy(self) -> None:
        """Remove every topic."""
        self.unsubscribe()
        self._output.destroy()

    def publish_heartbeat(self) -> None:
        """Send the header of the newest labelled frame; stamp 0 before the first."""
        if self._stream is not None:
            self._output.heartbeat.publish(self._stream.newest_header)

    def publish_stats(self, stamp: Time) -> None:
        """Send the counters since activation and the last second's times."""
        if self._stream is None:
            return
        stream = self._stream.stream
        header = Header(stamp=stamp, frame_id=self._stream.newest_header.frame_id)
        self._output.stats.publish(
            make_stats(
                header,
                self.name,
                stream.ledger.counts(),
                stream.meter.times(time.monotonic()),
                self._segmenter.backend,
                self._segmenter.precision,
                self._stream.newest_run.tiles,
            )
        )

    def find(self) -> Finding:
        """Say how the camera fares."""
        part = f"camera {self.name}"
        source, camera_stream = self._input, self._stream
        if source is None or camera_stream is None:
            return Finding(part=part, level=OK, message="not subscribed")
        stream, run = camera_stream.stream, camera_stream.newest_run
        counts = stream.ledger.counts()
        times = stream.meter.times(time.monotonic())
        problem = self._find_problem(source)
        values: dict[str, object] = {"image_topic": source.image_topic}
        values.update({name: getattr(counts, name) for name in LedgerCounts.__dataclass_fields__})
        values.update(
            {
                "rate_hz": times.rate_hz,
                "latency_ms_p50": times.latency_ms[0],
                "latency_ms_p99": times.latency_ms[2],
                "inference_ms": times.inference_ms,
                **{f"stage_{name}_ms": spent_ms for name, spent_ms in times.stages_ms.items()},
                "tiles": f"{run.tiles[0]}/{run.tiles[1]}",
                "scales": " ".join(f"{scale:g}" for scale in run.scales),
                "complaints": self._frame_problems.count + self._link_problems.count,
                "last_complaint": self._frame_problems.last or self._link_problems.last or "",
            }
        )
        if problem is not None:
            return Finding(part=part, level=WARN, message=problem, values=values)
        message = "labelling" if counts.labelled else "no image yet"
        return Finding(part=part, level=OK, message=message, values=values)

    def _find_problem(self, source: CameraInput) -> str | None:
        recent = self._frame_problems.recent or self._link_problems.recent
        if recent is not None:
            return recent
        if time.monotonic() - self._heard_at_s > SILENCE_S:
            return self._explain_silence(source)
        return None

    def _explain_silence(self, source: CameraInput) -> str:
        topic = source.image_topic
        offers = self._node.get_publishers_info_by_topic(topic)
        wanted = f"sensor_msgs/msg/{source.image_type.__name__}"
        others = sorted({one.topic_type for one in offers} - {wanted})
        text = f"waiting for images on {topic} ({len(offers)} publishers)"
        if others:
            return (
                f"{text}: it carries {', '.join(others)}; expected {wanted}; "
                f"set cameras.{self.name}.transport or cameras.{self.name}.image_topic"
            )
        if offers and self._link_problems.last is not None:
            return f"{text}: {self._link_problems.last}"
        return text

    def _report_frame(self, sentence: str) -> None:
        self._frame_problems.add(f"camera {self.name}: {sentence}")
        self._notice_change()

    def _report_link(self, sentence: str) -> None:
        self._link_problems.add(f"camera {self.name}: {sentence}")
        self._notice_change()
