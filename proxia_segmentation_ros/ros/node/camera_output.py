"""One camera's publishers."""

from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from proxia_segmentation_ros.msg import SceneSummary, StreamStats
from proxia_segmentation_ros.ros.qos import (
    allow_overrides,
    create_watched,
    make_qos,
    watch_publisher,
)


class CameraOutput:
    """The topics under `~/`, or under `~/<camera>/` when there are several cameras."""

    def __init__(self, node: LifecycleNode, prefix: str, report: Callable[[str], None]) -> None:
        self._node = node
        self._prefix = prefix
        self._report = report
        self._publishers: list[Any] = []
        try:
            self.labels = self._create(Image, "labels")
            self.label_info = self._create(LabelInfo, "label_info", is_latched=True)
            self.confidence = self._create(Image, "confidence")
            self.overlay = self._create(Image, "overlay")
            self.colored = self._create(Image, "colored")
            self.objects = self._create(SceneSummary, "objects")
            self.camera_info = self._create(CameraInfo, "camera_info")
            self.stats = self._create(StreamStats, "stats")
            self.heartbeat = self._create(Header, "heartbeat")
        except Exception:
            self.destroy()
            raise

    def destroy(self) -> None:
        """Remove the topics."""
        while self._publishers:
            self._node.destroy_lifecycle_publisher(self._publishers.pop())

    def _create(self, message_type: Any, leaf: str, is_latched: bool = False) -> Any:
        name = f"{self._prefix}{leaf}"
        topic = self._node.resolve_topic_name(name)
        publisher = create_watched(
            lambda events: self._node.create_lifecycle_publisher(
                message_type,
                name,
                make_qos(is_latched=is_latched),
                event_callbacks=events,
                qos_overriding_options=allow_overrides(),
            ),
            watch_publisher(self._node, topic, self._report),
        )
        self._publishers.append(publisher)
        return publisher
