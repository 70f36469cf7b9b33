"""A thread that takes the messages of a few subscriptions without an rclpy executor.

An rclpy executor rebuilds its wait set from all entities of the node (timers, services, events) for
every message. At 60 images per second that took 10 % of a CPU core, more than everything else
around the network. This thread waits on a wait set with nothing but its own subscriptions.

QoS events of the subscriptions are handled here too, because with rmw_fastrtps every message also
wakes the wait set that holds the events: left to the executor, they would wake it for each image.
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
# Upper limit of one wait, in case the guard condition is not triggered at shutdown.
LOOK_PERIOD_NS = 1_000_000_000

SubscriptionCallback = tuple[Any, Callable[[Any], None]]


class ReceiverCallbackGroup(MutuallyExclusiveCallbackGroup):
    """Callback group that the node's executor ignores, since a `Receiver` serves it."""

    def can_execute(self, entity: Any) -> bool:  # noqa: ARG002
        """Return False, so that the executor leaves the entity out of its wait set."""
        return False


class Receiver:
    """Call each subscription's callback with its messages, from construction until `close`.

    Event callbacks of the subscriptions run in the same thread. If a callback raises, that is
    reported and only its message is lost. The subscriptions must be in a `ReceiverCallbackGroup`
    and must not be destroyed before the receiver is closed.
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
        """Stop receiving; return False if a callback was still running after a second."""
        self._is_closing = True
        self._wake()
        self._thread.join(JOIN_TIMEOUT_S)
        return not self._thread.is_alive()

    def _wake(self) -> None:
        try:
            self._guard.trigger()
        except InvalidHandle:
            # The thread has ended and destroyed the guard condition.
            return

    def _work(self) -> None:
        try:
            self._receive()
        except Exception as error:  # noqa: BLE001 - reported; other cameras go on
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
        # An entered handle can't be destroyed by another thread while the wait set refers to it.
        with ExitStack() as handles:
            for subscription, _ in self._subscriptions:
                handles.enter_context(subscription.handle)
            for handle in (*(event for _, event in events), self._guard.handle, context):
                handles.enter_context(handle)
            wait_set = rclpy_implementation.WaitSet(
                len(self._subscriptions), 1, 0, 0, 0, len(events), context
            )
            # `_is_closing` is tested first: a context that is shutting down holds its lock while it
            # closes the node, which waits for this thread; `ok()` would block until then.
            while not self._is_closing and self._context.ok():
                # A wait removes the entities that are not ready, so the set is filled again.
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
        except Exception as error:  # noqa: BLE001 - the next message must be taken
            self._report(
                f"{what} was lost to {type(error).__name__}: {error}; expected one that can be "
                "read; nothing to do if others come"
            )
