"""Subscriptions of one camera: image, CameraInfo and depth."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.pipeline.sink import Frame, Geometry, SharedSettings
from proxia_segmentation_ros.ros.node.camera_info import read_camera_matrix, scale_camera_info
from proxia_segmentation_ros.ros.node.stamp_cache import StampCache
from proxia_segmentation_ros.ros.node.topics import find_image_topic
from proxia_segmentation_ros.ros.qos import (
    allow_overrides,
    create_watched,
    make_qos,
    watch_subscription,
)
from proxia_segmentation_ros.ros.receiver import (
    Receiver,
    ReceiverCallbackGroup,
    SubscriptionCallback,
)
from proxia_segmentation_ros.wire.cdr import ImageMessage, read_image
from proxia_segmentation_ros.wire.encodings import decode_depth

# Depth that has been silent for this long is not waited for; what has never come is told after it.
SILENCE_S = 2.0


class CameraInput:
    """Subscribes to one camera; the callbacks only store the newest messages.

    They run in the camera's own `Receiver` thread, so that no other work delays them.
    """

    def __init__(
        self,
        node: Node,
        camera: str,
        shared: SharedSettings,
        put_image: Callable[[bytes], None],
        report: Callable[[str], None],
        report_frame: Callable[[str], None],
    ) -> None:
        """`report` is called for problems of a connection, `report_frame` for those of a frame."""
        settings = shared.value.camera(camera)
        self._node = node
        self._camera = camera
        self._topics = settings
        self._made_s = time.monotonic()
        self._settings = shared
        self._report = report
        self._report_frame = report_frame
        self._group = ReceiverCallbackGroup()
        self._subscriptions: list[SubscriptionCallback] = []
        self._receiver: Receiver | None = None
        self.infos: StampCache[CameraInfo] = StampCache()
        self.depths: StampCache[ImageMessage] = StampCache(capacity=4)
        self.has_geometry = bool(settings.camera_info_topic or settings.depth_topic)
        self.image_type = CompressedImage if settings.transport == "compressed" else Image
        self.image_topic = find_image_topic(node, camera, settings)
        try:
            # Calibration and depth first, so that they are there when the first image arrives.
            if settings.camera_info_topic:
                self._subscribe(CameraInfo, settings.camera_info_topic, self._store_info)
            if settings.depth_topic:
                self._subscribe(Image, settings.depth_topic, self._store_depth, raw=True)
            self._subscribe(self.image_type, self.image_topic, put_image, raw=True)
            self._receiver = Receiver(node.context, self._subscriptions, report)
        except Exception:
            self.destroy()
            raise

    def destroy(self) -> None:
        """Stop the receiver and destroy the subscriptions."""
        if self._receiver is not None and not self._receiver.close():
            self._report(f"{self.image_topic} is still being read; its last message may be late")
        while self._subscriptions:
            subscription, _ = self._subscriptions.pop()
            self._node.destroy_subscription(subscription)

    def find_geometry(self, frame: Frame, size_hw: SizeHW) -> Geometry:
        """Return the depth of a frame, and its calibration scaled to the label image."""
        info = self._find_info(frame, size_hw) if self._topics.camera_info_topic else None
        return Geometry(
            depth_m_HW=self._find_depth(frame),
            camera_matrix=None if info is None else read_camera_matrix(info),
            calibration=info,
        )

    def _find_info(self, frame: Frame, size_hw: SizeHW) -> CameraInfo | None:
        """Return the calibration whose stamp is near the image's, else the newest that fits it."""
        info = self.infos.find(frame.stamp, self._tolerance_ns()) or self.infos.newest()
        if info is None:
            self._report_missing("calibration", self._topics.camera_info_topic)
            return None
        # Some drivers leave out stamp and frame_id of a calibration that never changes.
        if info.header.frame_id not in ("", frame.frame_id):
            self._report_frame(
                f"calibration is of frame_id {info.header.frame_id!r}; expected that of the image, "
                f"{frame.frame_id!r}, or none; correct cameras.{self._camera}.camera_info_topic or "
                "the driver"
            )
            return None
        stamp = Time(sec=frame.stamp[0], nanosec=frame.stamp[1])
        header = Header(stamp=stamp, frame_id=frame.frame_id)
        try:
            return scale_camera_info(info, header, size_hw)
        except (ArithmeticError, AssertionError, ValueError) as error:
            # Labels and objects do not need the calibration and are published without it.
            self._report_frame(f"camera info: {error or type(error).__name__}")
            return None

    def _find_depth(self, frame: Frame) -> np.ndarray | None:
        settings = self._settings.value
        wants_depth = frame.demand.summary and settings.objects.enabled
        if not (wants_depth and self._topics.depth_topic):
            return None
        wait_s = settings.camera(self._camera).depth_wait_ms / 1e3
        silence_s = self.depths.silence_s()
        if silence_s is None or silence_s > SILENCE_S:
            # It would be waited for in vain, with every frame.
            wait_s = 0.0
        message = self.depths.find(frame.stamp, self._tolerance_ns(), wait_s)
        if message is None:
            self._report_unpaired(frame)
            return None
        try:
            return decode_depth(message, max_pixels=settings.inference.max_input_pixels)
        except InputError as error:
            # The objects are published without depth.
            self._report_frame(f"depth: {error}")
            return None

    def _tolerance_ns(self) -> int:
        return round(1e6 * self._settings.value.camera(self._camera).sync_tolerance_ms)

    def _report_unpaired(self, frame: Frame) -> None:
        lag_ns = self.depths.find_lag_ns(frame.stamp)
        if lag_ns is None:
            self._report_missing("depth image", self._topics.depth_topic)
            return
        limit_ms = self._settings.value.camera(self._camera).sync_tolerance_ms
        order = "after" if lag_ns > 0 else "before"
        self._report_frame(
            f"the nearest depth image is {abs(lag_ns) / 1e6:.3f} ms {order} the image; expected at "
            f"most {limit_ms:g} ms (cameras.{self._camera}.sync_tolerance_ms); have both cameras "
            f"triggered together, or raise it or cameras.{self._camera}.depth_wait_ms"
        )

    def _report_missing(self, what: str, topic: str) -> None:
        if time.monotonic() - self._made_s > SILENCE_S:
            self._report_frame(
                f"no {what} has come on {topic}; expected one with each image; look at its "
                "publisher, its QoS and the name of the topic"
            )

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
        self._subscriptions.append((subscription, callback))
