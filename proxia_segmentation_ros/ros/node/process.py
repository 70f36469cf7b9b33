"""Runs the node in this process and stops it within two seconds, even if the model is busy.

Python runs signal handlers in the main thread only, so that thread just waits for a signal, and
another one spins the executor.
"""

import os
import signal
import sys
import threading
import time
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
from proxia_segmentation_ros.ros import shared_memory
from proxia_segmentation_ros.ros.environment import prepare_environment

JOIN_TIMEOUT_S = 0.7
LAST_RESORT_S = 1.5
POLL_INTERVAL_S = 0.05
FAILED = 1


class StopFlag:
    """Says that the process has to stop; a signal handler may set it at any moment.

    `threading.Event` fails here in two ways. A handler interrupts the main thread, and `set` waits
    for ever if that thread holds the event's lock. A signal that comes just before the main thread
    blocks, or that the system gives to another thread, does not wake it. So this one has no lock,
    and `wait` looks again every `POLL_INTERVAL_S`.
    """

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Ask the process to stop; from any thread or signal handler."""
        self._is_set = True

    def is_set(self) -> bool:
        """Tell whether the process has to stop."""
        return self._is_set

    def wait(self) -> None:
        """Wait in the main thread, which runs the signal handlers, until the flag is set."""
        while not self._is_set:
            time.sleep(POLL_INTERVAL_S)


class StoppableNode(Protocol):
    """A node whose current work can be cancelled.

    `exit_code` is None until the node finds that the process has to end.
    """

    exit_code: int | None

    def request_stop(self) -> None:
        """Cancel the current transition; called from another thread."""

    def close(self) -> bool:
        """Free all resources; return False if a thread is still busy."""

    def destroy_node(self) -> None:
        """Destroy the node."""


def run_node(make_node: Callable[[], StoppableNode], args: Sequence[str] | None) -> int:
    """Spin a node until SIGINT or SIGTERM; return the exit code.

    A model that runs native code can't be interrupted; the process then exits without it.
    """
    stopping = StopFlag()
    watch_signals(stopping.set)
    prepare_environment()
    look_at_shared_memory()
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


def look_at_shared_memory() -> None:
    """Remove what killed processes left in shared memory, and warn if there is too little."""
    if not shared_memory.uses_fast_dds():
        return
    log = get_logger("proxia")
    freed = shared_memory.remove_leftovers()
    if freed:
        log.info(f"removed {freed / 2**20:.0f} MiB that killed processes left in shared memory")
    problem = shared_memory.find_problem()
    if problem is not None:
        log.warning(problem)


def spin_until_stopped(node: StoppableNode, stopping: StopFlag) -> int:
    """Spin `node` in a thread until `stopping` is set; shut down and return the exit code."""
    failures: list[BaseException] = []
    executor = SingleThreadedExecutor()
    executor.add_node(cast(Node, node))

    def spin() -> None:
        try:
            while not stopping.is_set() and node.exit_code is None:
                executor.spin_once()
        except (ExternalShutdownException, InvalidHandle):
            # ROS was shut down from elsewhere, which is a normal end.
            pass
        except BaseException as error:  # noqa: BLE001 - logged below; the process ends
            failures.append(error)
        stopping.set()

    spinner = threading.Thread(target=spin, name="executor", daemon=True)
    spinner.start()
    stopping.wait()
    exit_code = FAILED if failures else node.exit_code or 0
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
    """Call `stop` on SIGINT and SIGTERM, in the main thread."""

    def note(_number: int, _frame: FrameType | None) -> None:
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)


def arm_last_resort(exit_code: int) -> None:
    """Start a timer that ends the process if the normal shutdown hangs."""
    timer = threading.Timer(LAST_RESORT_S, leave, (exit_code,))
    timer.daemon = True
    timer.start()


def is_model_busy() -> bool:
    """Tell whether a worker thread of a model is still alive, for example while loading."""
    return any(thread.name.startswith("model") for thread in threading.enumerate())


def leave(exit_code: int) -> None:
    """Exit at once: busy native threads would crash during interpreter finalisation."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
