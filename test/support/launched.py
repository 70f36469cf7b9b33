"""`ros2 launch proxia_segmentation_ros proxia.launch.py` as a process of its own, for tests."""

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python
from typing_extensions import Self

from proxia_segmentation_ros.ros.client.session import RosSession

TIMEOUT_S = 120.0
ASK_AGAIN_AFTER_S = 10.0
PACKAGE_FILE = ("proxia_segmentation_ros", "proxia.launch.py")


class LaunchedNode:
    """Start the launch file; on exit press Ctrl-C. A session of its own lets SIGINT through."""

    def __init__(
        self, *arguments: str, env: dict[str, str] | None = None, file: Path | None = None
    ) -> None:
        self.lines: list[str] = []
        self._log_folder = tempfile.TemporaryDirectory()
        chosen_env = {"PYTHONUNBUFFERED": "1", "ROS_LOG_DIR": self._log_folder.name}
        self._process = subprocess.Popen(
            ["ros2", "launch", *(PACKAGE_FILE if file is None else (file,)), *arguments],
            env={**(os.environ if env is None else env), **chosen_env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        self.lines.extend(line.rstrip() for line in self._process.stdout or ())

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def wait_until(self, holds: Callable[[], Any]) -> Any:
        """Return what `holds` returns once that is true; fail with the log when it stays false."""
        give_up_at_s = time.monotonic() + TIMEOUT_S
        pause = threading.Event()
        while not (result := holds()):
            assert self._process.poll() is None, f"launch ended early:\n{self.log}"
            assert time.monotonic() < give_up_at_s, f"{TIMEOUT_S} s were not enough:\n{self.log}"
            pause.wait(0.05)
        return result

    def read_parameters(
        self, session: RosSession, *names: str, node_name: str = "/proxia"
    ) -> list[Any]:
        """Ask the running node over DDS."""
        service = f"{node_name}/get_parameters"

        def ask() -> list[Any] | None:
            # A new client each time: DDS may lose an announcement, and then an answer.
            client: Any = session.node.create_client(GetParameters, service)
            future: Any = None
            give_up_at_s = time.monotonic() + ASK_AGAIN_AFTER_S
            while time.monotonic() < give_up_at_s and not (future and future.done()):
                if future is None and client.service_is_ready():
                    future = client.call_async(GetParameters.Request(names=names))
                time.sleep(0.05)
            session.node.destroy_client(client)
            if future is None or not future.done():
                return None
            return [parameter_value_to_python(value) for value in future.result().values]

        values: list[Any] = self.wait_until(ask)
        return values

    def press_ctrl_c(self) -> int:
        """Interrupt the launch and all it started, as a terminal does; returns the exit code."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            return self._process.wait(timeout=TIMEOUT_S)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._reader.join(timeout=TIMEOUT_S)
            self._log_folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.press_ctrl_c()


def write_including_file(path: Path, **arguments: str) -> Path:
    """Write a launch file that includes ours: the way in which an argument can be empty."""
    path.write_text(
        f"""
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    share = FindPackageShare("proxia_segmentation_ros")
    path = PathJoinSubstitution([share, "launch", "proxia.launch.py"])
    arguments = {arguments!r}
    return LaunchDescription(
        [IncludeLaunchDescription(path, launch_arguments=arguments.items())]
    )
"""
    )
    return path


def install_fake_viewer(prefix: Path) -> None:
    """Make an ament prefix with an `rviz2` that says what it was started with."""
    marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / "rviz2"
    program = prefix / "lib" / "rviz2" / "rviz2"
    for path in (marker, program):
        path.parent.mkdir(parents=True)
    marker.touch()
    program.write_text(
        "#!/bin/sh\n"
        "exec >&2\n"
        'echo "viewer arguments: $*"\n'
        'echo "viewer profile: $FASTDDS_DEFAULT_PROFILES_FILE"\n'
        'echo "viewer legacy profile: $FASTRTPS_DEFAULT_PROFILES_FILE"\n'
    )
    program.chmod(0o755)
