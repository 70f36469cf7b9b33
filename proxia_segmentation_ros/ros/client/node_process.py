"""The segmentation node as its own process, with its last log lines at hand."""

import collections
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType

from typing_extensions import Self

from proxia_segmentation_ros.errors import ProxiaError

NODE_MODULE = "proxia_segmentation_ros.ros.node.segmentation_node"
KEPT_LINES = 200
SHOWN_LINES = 8
STOP_TIMEOUT_S = 5.0


class NodeProcess:
    """Start `python -m module arguments` and read what it logs.

    The process has its own session: Ctrl-C in the terminal reaches it through `stop` alone.
    """

    def __init__(
        self, arguments: Sequence[str], *, env: Mapping[str, str], module: str = NODE_MODULE
    ) -> None:
        self._lines: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read_log, name="node-log", daemon=True)
        self._reader.start()

    def _read_log(self) -> None:
        stream = self._process.stdout
        for line in stream or ():
            self._lines.append(line.rstrip())

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def last_lines(self) -> list[str]:
        """The newest lines of its log."""
        return list(self._lines)[-SHOWN_LINES:]

    def describe_log(self) -> str:
        """Return the newest log lines as an indented block."""
        lines = self.last_lines or ["(it logged nothing)"]
        return "\n".join(["last lines of the node's log:", *(f"  {line}" for line in lines)])

    def check_alive(self) -> None:
        """Raise when the process has ended.

        Raises:
            ProxiaError: with its exit code and last log lines.
        """
        code = self._process.poll()
        if code is None:
            return
        self._reader.join(timeout=1.0)
        raise ProxiaError(
            f"the node ended with exit code {code}; expected it to run until the stream ends; "
            f"{self.describe_log()}"
        )

    def stop(self) -> int:
        """End the process, politely first; returns its exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if self._process.poll() is None:
                self._process.send_signal(number)
                try:
                    self._process.wait(STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    continue
        if self._process.poll() is None:
            self._process.kill()
        code = self._process.wait()
        self._reader.join(timeout=1.0)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
