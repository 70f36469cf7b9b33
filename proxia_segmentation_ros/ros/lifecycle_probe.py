"""Ask a managed node from outside which state it is in."""

import threading
import time
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.msg import TransitionEvent
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from rclpy.qos import QoSProfile

from proxia_segmentation_ros.ros.patience import Patience
from proxia_segmentation_ros.ros.session import RosSession

ASK_AGAIN_AFTER_S = 1.0
RENEW_AFTER_S = 5.0
ACTIVE = "active"


class LifecycleProbe:
    """Follow the state of `node_name` without blocking: asked anew, and told of transitions.

    DDS may lose the announcement of an endpoint for good, and a service with it. So while no
    answer comes, the probe asks with a new client, then with new ones of a participant of their
    own, to which all that is there is announced again.
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
        self._session = session
        self._node_name = node_name
        self._open_session = open_session
        self._spare: RosSession | None = None
        self._is_client_renewed = False
        self._monotonic = monotonic
        self._patience = Patience(RENEW_AFTER_S, monotonic)
        self._client: Any = None
        self._asked_at_s = float("-inf")
        self._meet(session.node)
        self._listen(session.node)
        session.context.on_shutdown(self._close_spare)

    @property
    def has_failed(self) -> bool:
        """Whether a *configure* that this probe saw begin ended in `unconfigured` again."""
        with self._lock:
            return self._has_failed

    def poll_state(self) -> str | None:
        """Return the newest known state's label, None while the node did not answer."""
        with self._lock:
            is_unanswered = self._patience.is_over()
        if is_unanswered:
            self._renew()
        now_s = self._monotonic()
        if now_s - self._asked_at_s >= ASK_AGAIN_AFTER_S and self._client.service_is_ready():
            self._asked_at_s = now_s
            future: Any = self._client.call_async(GetState.Request())
            future.add_done_callback(self._on_answer)
        with self._lock:
            return self._state

    def _meet(self, node: Node) -> None:
        self._client = node.create_client(GetState, f"{self._node_name}/get_state")
        self._asked_at_s = float("-inf")

    def _listen(self, node: Node) -> None:
        node.create_subscription(
            TransitionEvent,
            f"{self._node_name}/transition_event",
            self._on_event,
            QoSProfile(depth=10),
        )

    def _renew(self) -> None:
        """Ask with a new client, from the second time on of a new participant."""
        if not self._is_client_renewed:
            self._is_client_renewed = True
            self._session.node.destroy_client(self._client)
            self._meet(self._session.node)
            return
        self._close_spare()
        self._spare = self._open_session(
            f"{self._session.node.get_name()}_probe",
            domain_id=self._session.context.get_domain_id(),
        )
        self._meet(self._spare.node)
        self._listen(self._spare.node)

    def _close_spare(self) -> None:
        if self._spare is not None:
            self._spare.close()

    def _on_answer(self, future: Any) -> None:
        if future.exception() is None and future.result() is not None:
            self._note(future.result().current_state.label)

    def _on_event(self, event: TransitionEvent) -> None:
        self._note(event.goal_state.label)

    def _note(self, state: str) -> None:
        with self._lock:
            self._patience.restart()
            if state == "unconfigured" and self._state == "configuring":
                self._has_failed = True
            elif state == "configuring":
                self._has_failed = False
            self._state = state
