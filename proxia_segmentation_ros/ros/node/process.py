"""The process around the node: it stops within two seconds whatever the model does.

The main thread only waits, since Python runs signal handlers there and nowhere else; a thread of
its own spins the executor.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Protocol, cast

import rclpy
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.ros.environment import prepare_environment

JOIN_TIMEOUT_S = 0.7
LAST_RESORT_S = 1.5
FAILED = 1


class StoppableNode(Protocol):
    """A node that can be told to give up what it does."""

    def request_stop(self) -> None:
        """End whatever is under way; called from another thread."""

    def close(self) -> bool:
        """Free everything; False when a thread is still busy."""

    def destroy_node(self) -> None:
        """Leave the ROS graph."""


def run_node(make_node: Callable[[], StoppableNode], args: Sequence[str] | None) -> int:
    """Spin a node until SIGINT or SIGTERM; return the exit code.

    A model that is busy in native code can't be interrupted; the process then ends around it.
    """
    stopping = threading.Event()
    watch_signals(stopping.set)
    prepare_environment()
    try:
        rclpy.init(
            args=None if args is None else list(args),
            signal_handler_options=SignalHandlerOptions.NO,
        )
        node = make_node()
    except (rclpy_implementation.RCLError, rclpy_implementation.UnknownROSArgsError) as error:
        get_logger("proxia").fatal(f"can't start: {error}; expected valid ROS arguments")
        return ConfigError.exit_code
    return spin_until_stopped(node, stopping)


def spin_until_stopped(node: StoppableNode, stopping: threading.Event) -> int:
    """Spin `node` in a thread until `stopping`; end everything and return the exit code."""
    failures: list[BaseException] = []
    executor = SingleThreadedExecutor()
    executor.add_node(cast(Node, node))

    def spin() -> None:
        try:
            while not stopping.is_set():
                executor.spin_once()
        except (ExternalShutdownException, InvalidHandle):
            # Somebody else shut ROS down: an orderly end too.
            pass
        except BaseException as error:  # noqa: BLE001 - logged below, and it ends the process
            failures.append(error)
        stopping.set()

    spinner = threading.Thread(target=spin, name="executor", daemon=True)
    spinner.start()
    stopping.wait()
    exit_code = FAILED if failures else 0
    arm_last_resort(exit_code)
    node.request_stop()
    executor.wake()
    spinner.join(JOIN_TIMEOUT_S)
    if failures:
        get_logger("proxia").fatal(f"stopped by {type(failures[0]).__name__}: {failures[0]}")
    if spinner.is_alive() or not node.close() or is_model_busy():
        leave(exit_code)
    executor.shutdown(timeout_sec=0.1)
    node.destroy_node()
    rclpy.try_shutdown()
    return exit_code


def watch_signals(stop: Callable[[], None]) -> None:
    """Call `stop` at SIGINT and SIGTERM; Python runs this in the main thread."""

    def note(_number: int, _frame: FrameType | None) -> None:
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)


def arm_last_resort(exit_code: int) -> None:
    """End the process soon, should the orderly way hang."""
    timer = threading.Timer(LAST_RESORT_S, leave, (exit_code,))
    timer.daemon = True
    timer.start()


def is_model_busy() -> bool:
    """Tell whether a model's worker was left to itself, as one that loads is."""
    return any(thread.name.startswith("model") for thread in threading.enumerate())


def leave(exit_code: int) -> None:
    """End the process now; native threads would crash in an orderly interpreter shutdown."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
