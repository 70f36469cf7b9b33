"""Subscribes to the outputs of the segmentation node, as a user's node would."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import LabelInfo

from proxia_segmentation_ros.msg import SceneSummary, StreamStats
from proxia_segmentation_ros.ros.client.player import to_nanoseconds
from proxia_segmentation_ros.ros.client.session import RosSession
from proxia_segmentation_ros.wire.cdr import read_image

DROP_REASONS = ("replaced", "stale", "undecodable", "refused", "paused", "failed")


@dataclass(frozen=True, eq=False)
class ReceivedLabels:
    """One label image (H, W) and its arrival time in seconds of `time.monotonic`."""

    stamp_ns: int
    arrived_at_s: float
    labels_HW: np.ndarray


@dataclass(frozen=True)
class ReceivedScene:
    """The objects of one frame: boxes as (x, y, width, height, class id), count by class name."""

    stamp_ns: int
    label_set_name: str
    boxes: tuple[tuple[int, int, int, int, int], ...]
    counts: dict[str, int]


@dataclass(frozen=True)
class ReceivedStats:
    """The node's frame counters since activation, and its backend."""

    arrived_at_s: float
    received: int
    labelled: int
    dropped: dict[str, int]
    backend: str
    precision: str
    inference_ms: float

    @property
    def adds_up(self) -> bool:
        """Whether every received frame is accounted for."""
        return self.received == self.labelled + sum(self.dropped.values())


@dataclass
class _Received:
    labels: dict[int, ReceivedLabels] = field(default_factory=dict)
    scenes: dict[int, ReceivedScene] = field(default_factory=dict)
    stats: ReceivedStats | None = None
    class_names: tuple[str, ...] = ()


class StreamListener:
    """Store everything that `node_name` publishes for its one camera, by header stamp."""

    def __init__(
        self,
        session: RosSession,
        node_name: str = "proxia",
        on_labels: Callable[[ReceivedLabels], None] | None = None,
    ) -> None:
        self._received = _Received()
        self._changed = threading.Condition()
        self._on_labels = on_labels
        node = session.node
        qos = QoSProfile(depth=10)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions = [
            # Raw messages: the pixels are copied once instead of three times.
            node.create_subscription(
                Image, f"{node_name}/labels", self._store_labels, qos, raw=True
            ),
            node.create_subscription(SceneSummary, f"{node_name}/objects", self._store_scene, qos),
            node.create_subscription(StreamStats, f"{node_name}/stats", self._store_stats, qos),
            node.create_subscription(
                LabelInfo, f"{node_name}/label_info", self._store_info, latched
            ),
        ]

    @property
    def labels(self) -> dict[int, ReceivedLabels]:
        """Label images by header stamp."""
        with self._changed:
            return dict(self._received.labels)

    @property
    def scenes(self) -> dict[int, ReceivedScene]:
        """Object summaries by header stamp."""
        with self._changed:
            return dict(self._received.scenes)

    @property
    def stats(self) -> ReceivedStats | None:
        """The newest statistics."""
        with self._changed:
            return self._received.stats

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of their ids; empty before label_info arrives."""
        with self._changed:
            return self._received.class_names

    def wait_for(self, is_enough: Callable[["StreamListener"], bool], timeout_s: float) -> bool:
        """Wait until `is_enough(self)` is true; return False after `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: is_enough(self), timeout_s)

    def _store_labels(self, buffer: bytes) -> None:
        arrived_at_s = time.monotonic()
        message = read_image(buffer)
        dtype = np.uint16 if message.encoding == "mono16" else np.uint8
        rows = np.asarray(message.data).reshape(message.height, message.step)
        labels_HW = rows.view(dtype)[:, : message.width]
        stamp_ns = message.stamp_sec * 1_000_000_000 + message.stamp_nanosec
        received = ReceivedLabels(stamp_ns, arrived_at_s, labels_HW)
        with self._changed:
            self._received.labels[stamp_ns] = received
            self._changed.notify_all()
        if self._on_labels is not None:
            self._on_labels(received)

    def _store_scene(self, message: SceneSummary) -> None:
        stamp_ns = to_nanoseconds(message.header.stamp)
        boxes = tuple(
            (item.box.x_offset, item.box.y_offset, item.box.width, item.box.height, found.class_id)
            for found in message.classes
            for item in found.objects
        )
        counts = {found.class_name: len(found.objects) for found in message.classes}
        with self._changed:
            scene = ReceivedScene(stamp_ns, message.label_set, boxes, counts)
            self._received.scenes[stamp_ns] = scene
            self._changed.notify_all()

    def _store_stats(self, message: StreamStats) -> None:
        dropped = {name: int(getattr(message, f"dropped_{name}")) for name in DROP_REASONS}
        with self._changed:
            self._received.stats = ReceivedStats(
                arrived_at_s=time.monotonic(),
                received=int(message.received),
                labelled=int(message.labelled),
                dropped=dropped,
                backend=message.backend,
                precision=message.precision,
                inference_ms=float(message.inference_ms),
            )
            self._changed.notify_all()

    def _store_info(self, message: LabelInfo) -> None:
        pairs = sorted((entry.class_id, entry.class_name) for entry in message.class_map)
        with self._changed:
            self._received.class_names = tuple(name for _, name in pairs)
            self._changed.notify_all()
