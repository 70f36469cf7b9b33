"""A second DDS participant, opened to run discovery again when an endpoint was not found."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

from proxia_segmentation_ros.ros.client.session import RosSession

RCLError = rclpy_implementation.RCLError
Made = TypeVar("Made")


class RediscoverySession:
    """Holds at most one extra session, which is closed together with `session`.

    DDS discovery can lose the announcement of an endpoint for good. All existing endpoints are
    announced again to a new participant, so opening one is the remedy.
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
        # rclpy holds bound methods weakly; a partial keeps this object alive until the shutdown, so
        # that its session is closed even if its owner is gone.
        session.context.on_shutdown(partial(RediscoverySession.close, self))

    def renew(self, make: Callable[[Node], Made]) -> Made | None:
        """Return what `make` creates on the node of a new participant.

        If that fails, log a warning, keep the previous participant and return None.
        """
        self._tries += 1
        # The previous session is still open, and node names must be unique.
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
        """Close the extra session, if there is one."""
        if self._current is not None:
            self._current.close()
            self._current = None
