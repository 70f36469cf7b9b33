"""QoS profiles of the topics, and readable reports of QoS mismatches."""

from collections.abc import Callable
from typing import Any, TypeVar

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

from proxia_segmentation_ros.errors import ConfigError

try:
    from rclpy.event_handler import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )
except ImportError:  # Humble has them under the older name.
    from rclpy.qos_event import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )

Entity = TypeVar("Entity")
Report = Callable[[str], None]

QOS_PREFIX = "qos_overrides."
OVERRIDE_WORDS = {
    "reliability": ("reliable", "best_effort", "system_default", "best_available"),
    "history": ("keep_last", "keep_all", "system_default"),
}
MAX_DEPTH = 2**31 - 1


def make_qos(*, is_reliable: bool = True, is_latched: bool = False) -> QoSProfile:
    """Return a new profile of depth 1; never shared, since rclpy writes overrides into it."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE if is_reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE,
    )


def allow_overrides() -> QoSOverridingOptions:
    """Allow users to set history, depth and reliability by `qos_overrides.<topic>.*`."""
    return QoSOverridingOptions.with_default_policies()


def check_override(name: str, value: Any) -> None:
    """Check the value of a `qos_overrides.*` parameter, which rclpy would refuse by a traceback.

    Raises:
        ConfigError: it is not one that this policy can have.
    """
    policy = name.rpartition(".")[2]
    if policy == "depth":
        is_right = (
            isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_DEPTH
        )
        rule = f"a whole number from 0 to {MAX_DEPTH}"
    elif policy in OVERRIDE_WORDS:
        is_right = value in OVERRIDE_WORDS[policy]
        rule = " or ".join(OVERRIDE_WORDS[policy])
    else:
        # Of a policy that this node does not let users set: it is told as unused.
        return
    if not is_right:
        raise ConfigError.from_parts(f"{name} is {value!r}", rule, "set it to one of these")


def watch_subscription(node: Node, topic: str, report: Report) -> SubscriptionEventCallbacks:
    """Return callbacks that report lost messages, and publishers with an incompatible QoS."""

    def explain(event: Any) -> None:
        policy = _name_policy(event)
        offers = sorted(
            {
                _name_value(info.qos_profile, policy)
                for info in node.get_publishers_info_by_topic(topic)
            }
        )
        report(
            f"a publisher of {topic} offers {policy} {' and '.join(offers) or 'unknown'} "
            f"and its messages can't arrive; expected an offer that meets this node's request; "
            f"set {_override_name(topic, 'subscription', policy)} to what it offers"
        )

    def tell_lost(event: Any) -> None:
        report(
            f"{event.total_count_change} messages of {topic} were lost on the way, "
            f"{event.total_count} in all; expected none; look at the network, or at /dev/shm where "
            "the publisher runs on this machine"
        )

    return SubscriptionEventCallbacks(incompatible_qos=explain, message_lost=tell_lost)


def watch_publisher(node: Node, topic: str, report: Report) -> PublisherEventCallbacks:
    """Return callbacks that report a subscriber whose requested QoS is incompatible."""

    def explain(event: Any) -> None:
        policy = _name_policy(event)
        requests = sorted(
            {
                _name_value(info.qos_profile, policy)
                for info in node.get_subscriptions_info_by_topic(topic)
            }
        )
        report(
            f"a subscriber of {topic} asks for {policy} {' and '.join(requests) or 'unknown'} "
            f"and gets no messages; expected a request that this node's offer meets; "
            f"change the subscriber, or set {_override_name(topic, 'publisher', policy)}"
        )

    return PublisherEventCallbacks(incompatible_qos=explain)


def _name_policy(event: Any) -> str:
    return str(qos_policy_name_from_kind(event.last_policy_kind)).lower()


def _name_value(profile: QoSProfile, policy: str) -> str:
    value = getattr(profile, policy, None)
    return str(getattr(value, "name", value)).lower()


def _override_name(topic: str, entity: str, policy: str) -> str:
    return f"qos_overrides.{topic}.{entity}.{policy}"


def create_watched(create: Callable[[Any], Entity], events: Any) -> Entity:
    """Create a publisher or subscription, with the event callbacks that the middleware has."""
    try:
        return create(events)
    except UnsupportedEventTypeError:
        # The topic works without them; what they would tell is just not reported.
        if getattr(events, "message_lost", None) is None:
            return create(None)
    events.message_lost = None
    return create_watched(create, events)
