"""One camera's subscriptions."""

from collections.abc import Callable
from typing import Any

from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.validate_topic_name import validate_topic_name
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from proxia_segmentation_ros.config import CameraSettings
from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.ros.node.stamp_cache import StampedItems
from proxia_segmentation_ros.ros.qos import (
    allow_overrides,
    create_watched,
    make_qos,
    watch_subscription,
)
from proxia_segmentation_ros.ros.receiver import Intake, Receiver, TakenElsewhere
from proxia_segmentation_ros.wire.cdr import ImageMessage, read_image

COMPRESSED_SUFFIX = "/compressed"


def find_image_topic(node: Node, camera: str, settings: CameraSettings) -> str:
    """Return the full name of the image topic, remappings done.

    As in image_transport the base name is remapped first, then the suffix is appended.

    Raises:
        ConfigError: it is no topic name.
    """
    topic = _resolve(node, f"cameras.{camera}.image_topic", settings.image_topic)
    if settings.transport == "raw" or topic.endswith(COMPRESSED_SUFFIX):
        return topic
    return topic + COMPRESSED_SUFFIX


def check_topics(node: Node, camera: str, settings: CameraSettings) -> None:
    """Refuse names that no topic can have.

    Raises:
        ConfigError: the first such name.
    """
    find_image_topic(node, camera, settings)
    for leaf in ("camera_info_topic", "depth_topic"):
        name = getattr(settings, leaf)
        if name:
            _resolve(node, f"cameras.{camera}.{leaf}", name)


def _resolve(node: Node, parameter: str, name: str) -> str:
    try:
        validate_topic_name(name)
        return str(node.resolve_topic_name(name))
    except InvalidTopicNameException as error:
        raise ConfigError.from_parts(
            f"{parameter} is {name!r}",
            "a topic name",
            f"correct it ({' '.join(str(error).split())})",
        ) from error


class CameraInput:
    """Subscribe to one camera; the callbacks store the newest message and nothing else.

    They run in a thread of the camera's own, so that no other work of the node delays them.
    """

    def __init__(
        self,
        node: Node,
        camera: str,
        settings: CameraSettings,
        put_image: Callable[[bytes], None],
        report: Callable[[str], None],
    ) -> None:
        self._node = node
        self._report = report
        self._group = TakenElsewhere()
        self._intakes: list[Intake] = []
        self._receiver: Receiver | None = None
        self.infos: StampedItems[CameraInfo] = StampedItems()
        self.depths: StampedItems[ImageMessage] = StampedItems(capacity=4)
        self.image_type = CompressedImage if settings.transport == "compressed" else Image
        self.image_topic = find_image_topic(node, camera, settings)
        try:
            # What belongs to an image is subscribed first, so that it is there when needed.
            if settings.camera_info_topic:
                self._subscribe(CameraInfo, settings.camera_info_topic, self._store_info)
            if settings.depth_topic:
                self._subscribe(Image, settings.depth_topic, self._store_depth, raw=True)
            self._subscribe(self.image_type, self.image_topic, put_image, raw=True)
            self._receiver = Receiver(node.context, self._intakes, report)
        except Exception:
            self.destroy()
            raise

    def destroy(self) -> None:
        """Stop to listen."""
        if self._receiver is not None and not self._receiver.close():
            self._report(f"{self.image_topic} is still being read; its last message may be late")
        while self._intakes:
            subscription, _ = self._intakes.pop()
            self._node.destroy_subscription(subscription)

    def find_info(self, stamp: tuple[int, int], frame_id: str) -> CameraInfo | None:
        """Return the image's own calibration, else the newest one of the same frame."""
        exact = self.infos.find(stamp)
        if exact is not None:
            return exact
        newest = self.infos.newest()
        return newest if newest is not None and newest.header.frame_id == frame_id else None

    def _store_info(self, info: CameraInfo) -> None:
        self.infos.put((info.header.stamp.sec, info.header.stamp.nanosec), info)

    def _store_depth(self, buffer: bytes) -> None:
        try:
            depth = read_image(buffer)
        except InputError as error:
            self._report(f"depth: {error}")
            return
        self.depths.put((depth.stamp_sec, depth.stamp_nanosec), depth)

    def _subscribe(
        self, message_type: Any, name: str, callback: Callable[[Any], None], raw: bool = False
    ) -> None:
        topic = self._node.resolve_topic_name(name)
        subscription = create_watched(
            lambda events: self._node.create_subscription(
                message_type,
                name,
                callback,
                make_qos(is_reliable=False),
                callback_group=self._group,
                event_callbacks=events,
                qos_overriding_options=allow_overrides(),
                raw=raw,
            ),
            watch_subscription(self._node, topic, self._report),
        )
        self._intakes.append((subscription, callback))
