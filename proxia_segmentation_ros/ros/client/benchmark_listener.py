"""What a benchmark hears of nodes: when labels came in, their stages, what ran and how much."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, KeyValue
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from proxia_segmentation_ros.errors import ProxiaError
from proxia_segmentation_ros.msg import SceneSummary
from proxia_segmentation_ros.ros.client.session import RosSession
from proxia_segmentation_ros.ros.diagnostics import DIAGNOSTICS_QOS
from proxia_segmentation_ros.ros.receiver import Receiver, ReceiverCallbackGroup
from proxia_segmentation_ros.wire.cdr import read_image

MATCH_POLL_S = 0.02
SERVING = ("backend", "precision")
STAGE_PREFIX, STAGE_SUFFIX = "stage_", "_ms"
# Deep enough that a busy listener loses nothing that the node sent.
LABELS_QOS = QoSProfile(depth=50)


class BenchmarkListener:
    """Note the arrivals of several label topics by header stamp; pixels are not kept.

    The summaries beside the labels are taken too, so that the node has to make them.
    """

    def __init__(self, session: RosSession, topics: Mapping[str, str]) -> None:
        """`topics` holds label topics by a name of the caller's."""
        self._changed = threading.Condition()
        self._arrived_s: dict[str, dict[int, float]] = {name: {} for name in topics}
        self._stages_ms: dict[str, dict[str, list[float]]] = {}
        self._gauges: dict[str, dict[str, list[float]]] = {}
        self._serving: dict[str, dict[str, str]] = {}
        self._node = node = session.node
        self._topics = tuple(topics.values())
        group = ReceiverCallbackGroup()
        node.create_subscription(
            DiagnosticArray, "/diagnostics", self._hear_diagnostics, DIAGNOSTICS_QOS
        )
        wanted = [(Image, topic, self._bind(name)) for name, topic in topics.items()]
        wanted += [(SceneSummary, name_objects_topic(topic), _drop) for topic in topics.values()]
        self._receiver = Receiver(
            session.context,
            [
                (
                    node.create_subscription(
                        kind, topic, callback, LABELS_QOS, callback_group=group, raw=True
                    ),
                    callback,
                )
                for kind, topic, callback in wanted
            ],
            node.get_logger().error,
        )

    def close(self) -> None:
        """Stop to listen; before the session closes."""
        self._receiver.close()

    def wait_until_matched(self, timeout_s: float) -> None:
        """Wait until somebody publishes each topic.

        Raises:
            ProxiaError: nobody did within that time.
        """
        deadline_s = time.monotonic() + timeout_s
        for topic in self._topics:
            while not self._node.count_publishers(topic):
                if time.monotonic() > deadline_s:
                    raise ProxiaError.from_parts(
                        f"nobody publishes {topic!r} after {timeout_s:g} s",
                        "a node whose announcement arrives",
                        "run it again, or compare ROS_DOMAIN_ID",
                    )
                time.sleep(MATCH_POLL_S)

    def clear(self) -> None:
        """Forget all labels, times and gauges that came in before."""
        with self._changed:
            for arrived_s in self._arrived_s.values():
                arrived_s.clear()
            self._stages_ms.clear()
            self._gauges.clear()

    def arrivals(self, name: str) -> dict[int, float]:
        """Return arrivals by stamp in nanoseconds, by the clock of `time.monotonic`."""
        with self._changed:
            return dict(self._arrived_s[name])

    def stages_ms(self, node_name: str) -> dict[str, list[float]]:
        """Return what a node's diagnostics told of each stage; empty for a node without them."""
        return self._copy(self._stages_ms, node_name)

    def gauges(self, node_name: str) -> dict[str, list[float]]:
        """Return what a node's diagnostics told of tiles and scales; empty without them."""
        return self._copy(self._gauges, node_name)

    def wait_for_serving(self, node_name: str, timeout_s: float) -> dict[str, str]:
        """Return the newest backend and precision that a node's diagnostics told; {} if none."""
        name = node_name.strip("/")
        with self._changed:
            self._changed.wait_for(lambda: name in self._serving, timeout_s)
            return dict(self._serving.get(name, {}))

    def _copy(
        self, kept: Mapping[str, Mapping[str, list[float]]], node_name: str
    ) -> dict[str, list[float]]:
        with self._changed:
            return {
                name: list(values) for name, values in kept.get(node_name.strip("/"), {}).items()
            }

    def wait_for_frame(self, name: str, stamp_ns: int, timeout_s: float) -> bool:
        """Wait until the labels of that frame are in; False when they still were not."""
        with self._changed:
            return self._changed.wait_for(lambda: stamp_ns in self._arrived_s[name], timeout_s)

    def wait_for_count(self, name: str, count: int, timeout_s: float) -> bool:
        """Wait until so many labels are in; False when they still were not."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._arrived_s[name]) >= count, timeout_s)

    def wait_for_stages(self, node_name: str, count: int, timeout_s: float) -> bool:
        """Wait until a node has told so many times of some stage; False when it had not."""
        with self._changed:
            return self._changed.wait_for(
                lambda: any(
                    len(times_ms) >= count
                    for times_ms in self._stages_ms.get(node_name.strip("/"), {}).values()
                ),
                timeout_s,
            )

    def _bind(self, name: str) -> Callable[[bytes], None]:
        def hear(buffer: bytes) -> None:
            arrived_s = time.monotonic()
            message = read_image(buffer)
            stamp_ns = message.stamp_sec * 1_000_000_000 + message.stamp_nanosec
            with self._changed:
                self._arrived_s[name][stamp_ns] = arrived_s
                self._changed.notify_all()

        return hear

    def _hear_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            node_name = status.name.partition(":")[0].strip("/")
            with self._changed:
                for found, kept in (
                    (read_stages(status.values), self._stages_ms),
                    (read_gauges(status.values), self._gauges),
                ):
                    for name, value in found.items():
                        kept.setdefault(node_name, {}).setdefault(name, []).append(value)
                if serving := read_serving(status.values):
                    self._serving[node_name] = serving
                self._changed.notify_all()


def name_objects_topic(labels_topic: str) -> str:
    """Return where the node publishes the summaries that belong to these labels."""
    return labels_topic.rpartition("/")[0] + "/objects"


def _drop(_buffer: bytes) -> None:
    return


def read_stages(values: Iterable[KeyValue]) -> dict[str, float]:
    """Return milliseconds by stage from the values `stage_<name>_ms` of a diagnostic status."""
    found = {}
    for value in values:
        if value.key.startswith(STAGE_PREFIX) and value.key.endswith(STAGE_SUFFIX):
            time_ms = float(value.value)
            # A camera without a labelled frame in the last second has none.
            if not math.isnan(time_ms):
                found[value.key[len(STAGE_PREFIX) : -len(STAGE_SUFFIX)]] = time_ms
    return found


def read_gauges(values: Iterable[KeyValue]) -> dict[str, float]:
    """Return how much ran from the values `tiles` (run/all) and `scales` (a list); {} without."""
    texts = {value.key: value.value for value in values}
    gauges: dict[str, float] = {}
    run, slash, total = texts.get("tiles", "").partition("/")
    if slash and int(total):
        gauges |= {"tiles_run": float(run), "tiles_total": float(total)}
    if texts.get("scales"):
        gauges["scales"] = float(len(texts["scales"].split()))
    return gauges


def read_serving(values: Iterable[KeyValue]) -> dict[str, str]:
    """Return backend and precision where a diagnostic status tells of a model; {} without."""
    found = {value.key: value.value for value in values if value.key in SERVING}
    return found if len(found) == len(SERVING) else {}
