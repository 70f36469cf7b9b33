"""Builds missing TensorRT engines in another process, then loads them and swaps the segmenter.

The node serves with its CPU model meanwhile, and continues with that if anything fails here.
"""

import json
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.inference.segmenter_factory import FrameSegmenter

# `ros.node.process` looks for threads of this name: while one is busy, the process must exit
# without waiting for it.
THREAD_NAME = "model"
KEPT_LINES = 5
CLOSE_TIMEOUT_S = 0.5

UpgradeState = Literal["building", "loading", "ready", "failed", "stopped"]


@dataclass(frozen=True, kw_only=True)
class UpgradeStatus:
    """Progress of an upgrade; `step` is the current step, or the error if it failed."""

    state: UpgradeState
    step: str
    elapsed_s: float

    def to_values(self) -> dict[str, object]:
        """Return the values for the diagnostics."""
        return {
            "engine_state": self.state,
            "engine_step": self.step,
            "engine_elapsed_s": self.elapsed_s,
        }


class UpgradeStopped(Exception):  # noqa: N818 - not a fault
    """The node was stopped or reconfigured, so the engine is not needed any more."""


class EngineUpgrade:
    """One upgrade in its own thread: build, load, swap.

    `load` opens the segmenter once its engines are in the cache. `hand_over` puts it to use, or
    raises. `on_status` is called in the upgrade thread with each new status.
    """

    def __init__(
        self,
        command: Sequence[str],
        load: Callable[[], FrameSegmenter],
        hand_over: Callable[[FrameSegmenter], None],
        on_status: Callable[[UpgradeStatus], None],
    ) -> None:
        self._command = list(command)
        self._load = load
        self._hand_over = hand_over
        self._on_status = on_status
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._started_s = time.monotonic()
        self._status = UpgradeStatus(state="building", step="starting", elapsed_s=0.0)
        self._thread = threading.Thread(target=self._work, name=THREAD_NAME, daemon=True)
        self._thread.start()

    @property
    def status(self) -> UpgradeStatus:
        """The current status."""
        status = self._status
        if status.state in ("building", "loading"):
            return replace(status, elapsed_s=time.monotonic() - self._started_s)
        return status

    def close(self) -> bool:
        """Kill the build; return False if the thread is still loading and was abandoned."""
        self._stopping.set()
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
        self._thread.join(CLOSE_TIMEOUT_S)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._build()
            self._change("loading", "loading the engine")
            segmenter = self._load()
            if self._stopping.is_set():
                segmenter.close()
                raise UpgradeStopped
            self._hand_over(segmenter)
        except UpgradeStopped:
            self._change("stopped", "not needed any more")
        except Exception as error:  # noqa: BLE001 - the node keeps serving and reports it
            self._change("failed", str(error) or type(error).__name__)
        else:
            self._change("ready", f"serving with {segmenter.backend}, {segmenter.precision}")

    def _build(self) -> None:
        with self._lock:
            if self._stopping.is_set():
                raise UpgradeStopped
            # In its own session: Ctrl-C in a terminal reaches only the node, which then kills it.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        with self._process as process:
            error = self._follow(process)
        if self._stopping.is_set():
            raise UpgradeStopped
        if error is not None:
            raise BackendError(error)

    def _follow(self, process: "subprocess.Popen[str]") -> str | None:
        """Read the output of the process; return why there is no engine, or None.

        A reported engine is complete in the cache, whatever the exit code of the process is.
        """
        other_lines: deque[str] = deque(maxlen=KEPT_LINES)
        error: str | None = None
        is_done = False
        for line in process.stdout or ():
            report = _read_report(line)
            if report is None:
                other_lines.append(line.strip())
            elif "step" in report:
                self._change("building", str(report["step"]))
            elif "error" in report:
                error = str(report["error"])
            is_done = is_done or (report is not None and "done" in report)
        end = _describe_end(process.wait(), " | ".join(other_lines))
        if error is None and not is_done:
            error = f"the build ended without an engine, with {end}"
        elif error is None and process.returncode != 0:
            self._change("building", f"the engine is built; its process then ended with {end}")
        return error

    def _change(self, state: UpgradeState, step: str) -> None:
        elapsed_s = time.monotonic() - self._started_s
        self._status = UpgradeStatus(state=state, step=step, elapsed_s=elapsed_s)
        self._on_status(self._status)


def _read_report(line: str) -> dict[str, object] | None:
    try:
        report = json.loads(line)
    except ValueError:
        return None
    return report if isinstance(report, dict) else None


def _describe_end(returncode: int, last_output: str) -> str:
    how = f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
    return f"{how}: {last_output}" if last_output else how
