"""A thread that takes the messages of a few subscriptions, and nothing else.

rclpy's executors gather every entity of a node anew for each message: timers, services, events. At
60 images a second that took a tenth of a processor, more than all else around the network. Events
of a subscription are taken here too: with rmw_fastrtps each message wakes whoever waits for them.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation

JOIN_TIMEOUT_S = 1.0
# Should nobody wake the thread when ROS shuts down.
LOOK_PERIOD_NS = 1_000_000_000

SubscriptionCallback = tuple[Any, Callable[[Any], None]]


class ReceiverCallbackGroup(MutuallyExclusiveCallbackGroup):
    """Keeps subscriptions and their events from the executor."""

    def can_execute(self, entity: Any) -> bool:  # noqa: ARG002
        """Tell the executor to wait for none of them."""
        return False


class Receiver:
    """Hand each message to its subscription's callback, from the start until `close`.

    The subscriptions' event callbacks run in the same thread. A callback that raises is reported
    and loses its message alone. Subscriptions are of the group `ReceiverCallbackGroup`, and outlive
    the receiver.
    """

    def __init__(
        self,
        context: Context,
        subscriptions: Sequence[SubscriptionCallback],
        report: Callable[[str], object],
    ) -> None:
        self._context = context
        self._subscriptions = list(subscriptions)
        self._report = report
        self._is_closing = False
        self._guard = GuardCondition(None, None, context=context)
        context.on_shutdown(self._wake)
        self._thread = threading.Thread(target=self._work, name="receiver", daemon=True)
        self._thread.start()

    def close(self) -> bool:
        """Take no more; False when a callback was still busy after a second."""
        self._is_closing = True
        self._wake()
        self._thread.join(JOIN_TIMEOUT_S)
        return not self._thread.is_alive()

    def _wake(self) -> None:
        try:
            self._guard.trigger()
        except InvalidHandle:
            # It went with its thread.
            return

    def _work(self) -> None:
        try:
            self._receive()
        except Exception as error:  # noqa: BLE001 - told, and the node's other cameras go on
            if not self._is_closing and self._context.ok():
                self._report(
                    f"no more messages are taken ({type(error).__name__}: {error}); expected ROS "
                    "to go on; deactivate and activate the node"
                )
        finally:
            self._guard.destroy()

    def _receive(self) -> None:
        events = [
            (subscription.topic_name, event)
            for subscription, _ in self._subscriptions
            for event in subscription.event_handlers
        ]
        context: Any = self._context.handle
        with ExitStack() as handles:
            for subscription, _ in self._subscriptions:
                handles.enter_context(subscription.handle)
            for handle in (*(event for _, event in events), self._guard.handle, context):
                handles.enter_context(handle)
            wait_set = rclpy_implementation.WaitSet(
                len(self._subscriptions), 1, 0, 0, 0, len(events), context
            )
            # A context that shuts down holds its lock while it has the node closed: not asked then.
            while not self._is_closing and self._context.ok():
                # Waiting takes out what is not ready.
                wait_set.clear_entities()
                wait_set.add_guard_condition(self._guard.handle)
                for subscription, _ in self._subscriptions:
                    wait_set.add_subscription(subscription.handle)
                for _, event in events:
                    event.add_to_wait_set(wait_set)
                wait_set.wait(LOOK_PERIOD_NS)
                self._hand_out(wait_set, events)

    def _hand_out(self, wait_set: Any, events: Sequence[tuple[str, Any]]) -> None:
        ready = wait_set.get_ready_entities("subscription")
        for subscription, callback in self._subscriptions:
            if subscription.handle.pointer in ready and not self._is_closing:
                with self._report_errors(f"a message on {subscription.topic_name}"):
                    taken = subscription.handle.take_message(
                        subscription.msg_type, subscription.raw
                    )
                    if taken is not None:
                        callback(taken[0])
        for topic, event in events:
            if event.is_ready(wait_set) and not self._is_closing:
                with self._report_errors(f"an event of {topic}"):
                    event.callback(event.take_data())

    @contextmanager
    def _report_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever one message holds, the next is taken
            self._report(
                f"{what} was lost to {type(error).__name__}: {error}; expected one that can be "
                "read; nothing to do if others come"
            )
