"""Meet the graph anew through a participant of one's own."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

from proxia_segmentation_ros.ros.client.session import RosSession

RCLError = rclpy_implementation.RCLError
Made = TypeVar("Made")


class RediscoverySession:
    """At most one session beside `session`, which ends with it.

    DDS may lose the announcement of an endpoint for good; to a new participant all that is
    there is announced again.
    """

    def __init__(
        self,
        session: RosSession,
        purpose: str,
        open_session: Callable[..., RosSession] = RosSession,
    ) -> None:
        self._session = session
        self._purpose = purpose
        self._open_session = open_session
        self._current: RosSession | None = None
        self._tries = 0
        # A bound method would be held weakly, and this object would outlive its owner.
        session.context.on_shutdown(partial(RediscoverySession.close, self))

    def renew(self, make: Callable[[Node], Made]) -> Made | None:
        """Return what `make` creates on a new participant.

        Where that fails, the one before stays as it is, a warning is logged and None returned.
        """
        self._tries += 1
        # The one before is still there: two nodes must not have one name.
        name = f"{self._session.node.get_name()}_{self._purpose}{self._tries}"
        fresh: RosSession | None = None
        try:
            fresh = self._open_session(name, domain_id=self._session.context.get_domain_id())
            made = make(fresh.node)
        except RCLError as error:
            if fresh is not None:
                fresh.close()
            self._session.node.get_logger().warning(
                f"can't open a DDS participant for the {self._purpose}: {error}; "
                "going on with the one before"
            )
            return None
        self.close()
        self._current = fresh
        return made

    def close(self) -> None:
        """Leave the graph."""
        if self._current is not None:
            self._current.close()
            self._current = None
