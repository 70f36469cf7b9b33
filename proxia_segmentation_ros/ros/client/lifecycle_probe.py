"""Ask a managed node from outside which state it is in."""

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
# In these a node runs a callback, and one with a single thread answers nobody.
BUSY_STATES = frozenset(
    ("configuring", "cleaningup", "activating", "deactivating", "shuttingdown", "errorprocessing")
)


class LifecycleProbe:
    """Follow the state of `node_name` without blocking: asked anew, and told of transitions.

    DDS may lose the announcement of an endpoint for good, and a service with it. So while no
    answer comes, the probe asks with a new client, then with new ones of a participant of their
    own. A node that is known to be busy, or says that it loads, may take its time to answer.
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
        self._news = 0
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
        """Whether the last *configure* ended in `unconfigured` again."""
        with self._lock:
            return self._has_failed

    def poll_state(self) -> str | None:
        """Return the newest known state's label, None while the node did not answer."""
        with self._lock:
            is_unanswered = self._state not in BUSY_STATES and self._backoff.has_elapsed()
        if is_unanswered:
            self._renew()
        now_s = self._monotonic()
        if now_s - self._asked_at_s >= ASK_AGAIN_AFTER_S and self._client.service_is_ready():
            self._asked_at_s = now_s
            with self._lock:
                news = self._news
            future: Any = self._client.call_async(GetState.Request())
            future.add_done_callback(partial(self._on_answer, news))
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
        """Ask with a new client, from the second time on of a new participant."""
        if self._is_client_renewed:
            client = self._rediscovery.renew(self._settle)
            if client is None:
                return
        else:
            self._is_client_renewed = True
            client = self._make_client(self._session.node)
            self._session.node.destroy_client(self._client)
        self._client = client
        self._asked_at_s = float("-inf")

    def _settle(self, node: Node) -> Any:
        client = self._make_client(node)
        self._listen(node)
        return client

    def _on_answer(self, news: int, future: Any) -> None:
        if future.exception() is not None or future.result() is None:
            return
        with self._lock:
            self._backoff.restart()
            # What became known since the question was asked may be newer than its answer.
            if news == self._news:
                self._note(future.result().current_state.label)

    def _on_event(self, node: Node, event: TransitionEvent) -> None:
        """Note news of the newest participant; an older one's may be copies that come late."""
        with self._lock:
            if node is not self._heard_node:
                return
            self._backoff.restart()
            if event.start_state.label == "configuring":
                self._state = "configuring"
            self._note(event.goal_state.label)

    def _on_diagnostics(self, report: DiagnosticArray) -> None:
        """Be patient with our node while its model loads: a long *configure* answers nobody."""
        if any(
            status.name == self._model_name and status.message.startswith("loading")
            for status in report.status
        ):
            with self._lock:
                self._backoff.restart()

    def _note(self, state: str) -> None:
        self._news += 1
        if state == "unconfigured" and self._state == "configuring":
            self._has_failed = True
        elif state == "configuring":
            self._has_failed = False
        self._state = state
