"""Plays frames as a ROS camera: publishes Image and CameraInfo at the frame rate."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from proxia_segmentation_ros.errors import InputError, ProxiaError
from proxia_segmentation_ros.ros.client.backoff import Backoff
from proxia_segmentation_ros.ros.client.lifecycle_probe import ACTIVE, RENEW_AFTER_S, LifecycleProbe
from proxia_segmentation_ros.ros.client.rediscovery_session import RediscoverySession
from proxia_segmentation_ros.ros.client.session import RosSession
from proxia_segmentation_ros.wire.cdr import CompressedImageMessage
from proxia_segmentation_ros.wire.compressed import read_encoded_size
from proxia_segmentation_ros.wire.played_frame import PlayedFrame

logger = logging.getLogger(__name__)

Transport = Literal["raw", "compressed"]

READY_POLL_S = 0.05
SETTLE_S = 0.2
# A longer gap is a stamp that is not set, or a pause that nobody wants to wait for.
MAX_GAP_S = 60.0
FOCAL_LENGTH_IN_WIDTHS = 0.8  # about 64 degrees across, a usual street camera


@dataclass(frozen=True)
class PublishedFrame:
    """One published frame: its index, header stamp and publishing time (`time.monotonic`)."""

    index: int
    stamp_ns: int
    sent_at_s: float


@dataclass(frozen=True)
class PlayReport:
    """Result of `play`; `late` counts frames that were late by more than one period.

    `skipped` frames of the source could not be read.
    """

    published: int
    late: int
    skipped: int = 0


class CameraPlayer:
    """Publish frames to the topics of a camera.

    `rate_hz` is used for frames without a stamp of their own; 0 publishes each at once. It and
    `frames` may be changed before the next `play`.
    If an active node does not appear to subscribe, DDS discovery may have lost its announcement.
    The publishers are then created again in a new participant, as in `LifecycleProbe`.
    """

    def __init__(
        self,
        session: RosSession,
        frames: Iterable[PlayedFrame],
        *,
        rate_hz: float,
        topic: str = "image",
        transport: Transport = "raw",
        frame_id: str = "camera_optical_frame",
        node_name_to_wait: str = "proxia",
        reliable: bool = True,
        open_session: Callable[..., RosSession] = RosSession,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self.frames = frames
        self.rate_hz = rate_hz
        self._frame_id = frame_id
        self._clock = session.node.get_clock()
        self._stopped = threading.Event()
        self._monotonic = monotonic
        self._is_compressed = transport == "compressed"
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        self._qos = QoSProfile(depth=5, reliability=reliability)
        self.image_topic = name_image_topic(topic, transport)
        self._images, self._infos = self._make_publishers(session.node)
        self._node_name = node_name_to_wait
        self._probe = (
            LifecycleProbe(
                session, node_name_to_wait, open_session=open_session, monotonic=monotonic
            )
            if node_name_to_wait
            else None
        )
        self._rediscovery = RediscoverySession(session, "camera", open_session)
        self._backoff = Backoff(RENEW_AFTER_S, monotonic)

    def stop(self) -> None:
        """End `play` and `wait_until_ready`; callable from any thread."""
        self._stopped.set()

    def wait_until_ready(
        self, timeout_s: float | None = None, check: Callable[[], None] | None = None
    ) -> bool:
        """Wait until the node is active and subscribed; return False after `stop`.

        `check` is called every 50 ms and may raise.

        Raises:
            ProxiaError: the node failed to configure, or `timeout_s` passed.
        """
        deadline_s = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
        while not self._is_ready():
            if check is not None:
                check()
            if self._probe is not None and self._probe.has_failed:
                raise ProxiaError.from_parts(
                    f"node {self._node_name!r} failed to configure",
                    "a node that becomes active",
                    "read its log",
                )
            if time.monotonic() > deadline_s:
                raise self._explain_timeout(timeout_s)
            if self._stopped.wait(READY_POLL_S):
                return False
        # Discovery is not symmetric: the subscriber may discover this publisher a little later.
        return not self._stopped.wait(SETTLE_S)

    def play(self, on_published: Callable[[PublishedFrame], None] | None = None) -> PlayReport:
        """Publish every frame at its time; return at the end of the frames or after `stop`."""
        published = late = 0
        due_s, stamp_ns = self._monotonic(), None
        for frame in self.frames:
            gap_s = self._find_gap(stamp_ns, frame.stamp_ns) if published else 0.0
            stamp_ns = frame.stamp_ns
            due_s += gap_s
            now_s = self._monotonic()
            if self.rate_hz > 0 and self._stopped.wait(max(0.0, due_s - now_s)):
                break
            if self._stopped.is_set():
                break
            if now_s - due_s > gap_s:
                late += self.rate_hz > 0 and published > 0
                # Restart the schedule: catching up would publish a burst, as no camera does.
                due_s = now_s
            record = self._publish(frame, published)
            published += 1
            if on_published is not None:
                on_published(record)
        return PlayReport(published=published, late=late)

    def _find_gap(self, before_ns: int | None, stamp_ns: int | None) -> float:
        """Return the seconds between two frames.

        One period if stamps jump back, as in a loop, or by more than a minute.
        """
        period_s = 1.0 / self.rate_hz if self.rate_hz > 0 else 0.0
        if before_ns is None or stamp_ns is None or stamp_ns <= before_ns:
            return period_s
        gap_s = (stamp_ns - before_ns) / 1e9
        if gap_s <= max(MAX_GAP_S, period_s):
            return gap_s
        logger.warning(
            "a frame is %.0f s after the one before it; it is played after %.3g s", gap_s, period_s
        )
        return period_s

    def _publish(self, frame: PlayedFrame, index: int) -> PublishedFrame:
        self._check_transport(frame)
        now = self._clock.now().to_msg()
        header = Header(stamp=now, frame_id=self._frame_id)
        message, width, height = _make_message(frame, header)
        info = make_camera_info(header, width, height)
        sent_at_s = time.monotonic()
        self._images.publish(message)
        self._infos.publish(info)
        return PublishedFrame(index, to_nanoseconds(now), sent_at_s)

    def _check_transport(self, frame: PlayedFrame) -> None:
        if frame.is_compressed != self._is_compressed:
            kind = "compressed" if frame.is_compressed else "raw"
            raise InputError.from_parts(
                f"frame is {kind} but {self.image_topic!r} is not",
                "frames of the player's transport",
                "convert the frames or set the transport",
            )

    def _make_publishers(self, node: Node) -> tuple[Any, Any]:
        kind = CompressedImage if self._is_compressed else Image
        return (
            node.create_publisher(kind, self.image_topic, self._qos),
            node.create_publisher(CameraInfo, name_info_topic(self.image_topic), self._qos),
        )

    def _renew_publishers(self) -> None:
        made = self._rediscovery.renew(self._make_publishers)
        if made is not None:
            for publisher in (self._images, self._infos):
                self._session.node.destroy_publisher(publisher)
            self._images, self._infos = made

    def _is_ready(self) -> bool:
        if self._probe is not None and self._probe.poll_state() != ACTIVE:
            self._backoff.restart()
            return False
        if self._images.get_subscription_count() > 0:
            return True
        # Without a node to wait for, a missing subscriber is no sign of lost discovery.
        if self._probe is not None and self._backoff.has_elapsed():
            self._renew_publishers()
        return False

    def _explain_timeout(self, timeout_s: float | None) -> ProxiaError:
        state = self._probe.poll_state() if self._probe is not None else ACTIVE
        if state == ACTIVE:
            return ProxiaError.from_parts(
                f"nobody subscribed to {self.image_topic!r} within {timeout_s:g} s",
                "a subscriber with a compatible QoS",
                "compare the node's image_topic and transport",
            )
        found = f"is {state!r}" if state else "did not answer"
        return ProxiaError.from_parts(
            f"node {self._node_name!r} {found} after {timeout_s:g} s",
            "an active node",
            "start or activate it, compare ROS_DOMAIN_ID, or wait for no node",
        )


def name_image_topic(topic: str, transport: Transport) -> str:
    """Append `/compressed` for that transport unless the topic already ends so."""
    needs_suffix = transport == "compressed" and not topic.endswith("/compressed")
    return f"{topic}/compressed" if needs_suffix else topic


def name_info_topic(image_topic: str) -> str:
    """Return the `camera_info` beside an image topic, as image_transport names it."""
    parent, slash, _ = image_topic.removesuffix("/compressed").rpartition("/")
    return f"{parent}{slash}camera_info"


def to_nanoseconds(stamp: Time) -> int:
    """Return a header stamp as one number."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def make_camera_info(header: Header, width: int, height: int) -> CameraInfo:
    """Return a plausible pinhole camera without distortion."""
    focal = FOCAL_LENGTH_IN_WIDTHS * width
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    return CameraInfo(
        header=header,
        width=width,
        height=height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[focal, 0.0, centre_x, 0.0, focal, centre_y, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[focal, 0.0, centre_x, 0.0, 0.0, focal, centre_y, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def _make_message(frame: PlayedFrame, header: Header) -> tuple[Image | CompressedImage, int, int]:
    payload = frame.payload
    if isinstance(payload, CompressedImageMessage):
        height, width = read_encoded_size(payload.data)
        message = CompressedImage(header=header, format=payload.format)
    else:
        height, width = payload.height, payload.width
        message = Image(
            header=header,
            height=height,
            width=width,
            encoding=payload.encoding,
            is_bigendian=int(payload.is_bigendian),
            step=payload.step,
        )
    # One memcpy into the empty array; rclpy would convert an assigned ndarray element by element.
    message.data.frombytes(np.ascontiguousarray(payload.data))
    return message, width, height
