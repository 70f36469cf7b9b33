"""A ROS node with its own context and executor thread, for clients such as the player."""

import threading
from types import TracebackType

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from typing_extensions import Self


class RosSession:
    """Open a node in a process that does other things; signal handlers are left alone."""

    def __init__(
        self, node_name: str, *, domain_id: int | None = None, use_sim_time: bool = False
    ) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        overrides = [Parameter("use_sim_time", value=use_sim_time)]
        try:
            self.node = rclpy.create_node(
                node_name, context=self.context, parameter_overrides=overrides
            )
        except BaseException:
            self.context.try_shutdown()
            raise
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name=f"{node_name}-spin", daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def close(self) -> None:
        """Stop the executor and destroy the node."""
        if not self.context.ok():
            return
        self._executor.shutdown(timeout_sec=2.0)
        self.context.try_shutdown()
        self._thread.join(timeout=2.0)
        self.node.destroy_node()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
