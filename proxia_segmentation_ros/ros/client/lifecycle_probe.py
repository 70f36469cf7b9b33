"""Follow the state of a lifecycle node from another process."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import TransitionEvent
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from rclpy.qos import QoSProfile

from proxia_segmentation_ros.ros.client.backoff import Backoff
from proxia_segmentation_ros.ros.client.rediscovery_session import RediscoverySession
from proxia_segmentation_ros.ros.client.session import RosSession

ASK_AGAIN_AFTER_S = 1.0
RENEW_AFTER_S = 5.0
ACTIVE = "active"
# A transition callback is running: a single-threaded node answers no service meanwhile.
BUSY_STATES = frozenset(
    ("configuring", "cleaningup", "activating", "deactivating", "shuttingdown", "errorprocessing")
)


class LifecycleProbe:
    """Follow the state of `node_name` without blocking, by polling and by transition events.

    DDS discovery can lose the announcement of an endpoint for good; the service is then never
    found. So while no answer comes, the probe first creates a new client, then (with exponential
    backoff) new participants. A node that is in a transition or reports that it is loading its
    model can't answer; the backoff restarts meanwhile.
    """

    def __init__(
        self,
        session: RosSession,
        node_name: str,
        *,
        open_session: Callable[..., RosSession] = RosSession,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = threading.Lock()
        self._state: str | None = None
        self._has_failed = False
        self._num_changes = 0
        self._session = session
        self._node_name = node_name
        self._model_name = f"{node_name.lstrip('/')}: model"
        self._rediscovery = RediscoverySession(session, "probe", open_session)
        self._is_client_renewed = False
        self._monotonic = monotonic
        self._backoff = Backoff(RENEW_AFTER_S, monotonic)
        self._asked_at_s = float("-inf")
        self._client = self._make_client(session.node)
        self._listen(session.node)

    @property
    def has_failed(self) -> bool:
        """Whether the last *configure* went back to `unconfigured`."""
        with self._lock:
            return self._has_failed

    def poll_state(self) -> str | None:
        """Return the label of the newest known state; None until the node answers."""
        with self._lock:
            is_unanswered = self._state not in BUSY_STATES and self._backoff.has_elapsed()
        if is_unanswered:
            self._renew()
        now_s = self._monotonic()
        if now_s - self._asked_at_s >= ASK_AGAIN_AFTER_S and self._client.service_is_ready():
            self._asked_at_s = now_s
            with self._lock:
                changes_before = self._num_changes
            future: Any = self._client.call_async(GetState.Request())
            future.add_done_callback(partial(self._on_answer, changes_before))
        with self._lock:
            return self._state

    def _make_client(self, node: Node) -> Any:
        return node.create_client(GetState, f"{self._node_name}/get_state")

    def _listen(self, node: Node) -> None:
        qos = QoSProfile(depth=10)
        topic = f"{self._node_name}/transition_event"
        node.create_subscription(TransitionEvent, topic, partial(self._on_event, node), qos)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos)
        with self._lock:
            self._heard_node = node

    def _renew(self) -> None:
        """Replace the client: first in the same participant, after that in new ones."""
        if self._is_client_renewed:
            client = self._rediscovery.renew(self._make_client_and_listen)
            if client is None:
                return
        else:
            self._is_client_renewed = True
            client = self._make_client(self._session.node)
            self._session.node.destroy_client(self._client)
        self._client = client
        self._asked_at_s = float("-inf")

    def _make_client_and_listen(self, node: Node) -> Any:
        client = self._make_client(node)
        self._listen(node)
        return client

    def _on_answer(self, changes_before: int, future: Any) -> None:
        if future.exception() is not None or future.result() is None:
            return
        with self._lock:
            self._backoff.restart()
            # A transition event that arrived after the request may be newer than the answer.
            if changes_before == self._num_changes:
                self._note(future.result().current_state.label)

    def _on_event(self, node: Node, event: TransitionEvent) -> None:
        """Note a transition; events of replaced participants may be late copies."""
        with self._lock:
            if node is not self._heard_node:
                return
            self._backoff.restart()
            if event.start_state.label == "configuring":
                self._state = "configuring"
            self._note(event.goal_state.label)

    def _on_diagnostics(self, report: DiagnosticArray) -> None:
        """Restart the backoff while the node loads its model: it can't answer meanwhile."""
        if any(
            status.name == self._model_name and status.message.startswith("loading")
            for status in report.status
        ):
            with self._lock:
                self._backoff.restart()

    def _note(self, state: str) -> None:
        self._num_changes += 1
        if state == "unconfigured" and self._state == "configuring":
            self._has_failed = True
        elif state == "configuring":
            self._has_failed = False
        self._state = state
