"""Ask a managed node from outside which state it is in."""

import threading
import time
from typing import Any

from lifecycle_msgs.msg import TransitionEvent
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from rclpy.qos import QoSProfile

ASK_AGAIN_AFTER_S = 1.0
ACTIVE = "active"


class LifecycleProbe:
    """Follow the state of `node_name` without blocking: asked anew, and told of transitions."""

    def __init__(self, node: Node, node_name: str) -> None:
        self._lock = threading.Lock()
        self._state: str | None = None
        self._has_failed = False
        self._asked_at_s = float("-inf")
        self._client: Any = node.create_client(GetState, f"{node_name}/get_state")
        self._subscription = node.create_subscription(
            TransitionEvent, f"{node_name}/transition_event", self._on_event, QoSProfile(depth=10)
        )

    @property
    def has_failed(self) -> bool:
        """Whether a *configure* that this probe saw begin ended in `unconfigured` again."""
        with self._lock:
            return self._has_failed

    def poll_state(self) -> str | None:
        """Return the newest known state's label, None while the node did not answer."""
        now_s = time.monotonic()
        if now_s - self._asked_at_s >= ASK_AGAIN_AFTER_S and self._client.service_is_ready():
            self._asked_at_s = now_s
            future: Any = self._client.call_async(GetState.Request())
            future.add_done_callback(self._on_answer)
        with self._lock:
            return self._state

    def _on_answer(self, future: Any) -> None:
        if future.exception() is None and future.result() is not None:
            self._note(future.result().current_state.label)

    def _on_event(self, event: TransitionEvent) -> None:
        self._note(event.goal_state.label)

    def _note(self, state: str) -> None:
        with self._lock:
            if state == "unconfigured" and self._state == "configuring":
                self._has_failed = True
            elif state == "configuring":
                self._has_failed = False
            self._state = state
