"""Flame graphs of running Python processes; the optional program py-spy looks into them."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from proxia_segmentation_ros.benchmark.flame_picture import read_stacks, write_picture
from proxia_segmentation_ros.errors import ConfigError, ProxiaError

PROGRAM = "py-spy"
RATE_HZ = 200
# Its own start, and its end.
PATIENCE_S = 30.0
REFUSALS = ("permission denied", "operation not permitted")


class FlameRecorder:
    """Ask py-spy where threads are, many times a second, without stopping them for it.

    Python functions alone: with native ones py-spy stops the process at each look, and takes
    threads that wait for working ones.
    """

    def __init__(self) -> None:
        """Find the program.

        Raises:
            ConfigError: it is not installed.
        """
        beside = Path(sys.executable).with_name(PROGRAM)
        program = shutil.which(PROGRAM) or shutil.which(beside)
        if program is None:
            raise ConfigError.from_parts(
                f"--flame is given and {PROGRAM!r} is not installed",
                "that program on PATH",
                f"run `pip install {PROGRAM}`, or measure without --flame",
            )
        self._program = program

    @contextmanager
    def recording(self, pid: int, seconds: float, path: Path) -> Iterator[Callable[[], bool]]:
        """Draw what a process does while the block works; gives what tells it to end.

        Raises:
            ProxiaError: there is no picture.
        """
        deadline_s = time.monotonic() + seconds + PATIENCE_S
        with TemporaryDirectory() as folder:
            raw, told = Path(folder, "stacks.txt"), Path(folder, "told.txt")
            command = [self._program, "record", "--nonblocking", "--threads", "--nolineno"]
            command += ["--format", "raw", "--output", str(raw), "--rate", str(RATE_HZ)]
            command += ["--duration", f"{seconds:g}", "--pid", str(pid)]
            # A file takes what a pipe that nobody reads would not.
            with (
                told.open("wb") as log,
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                ) as process,
            ):
                try:
                    yield lambda: process.poll() is not None or time.monotonic() > deadline_s
                finally:
                    process.kill()  # where it is not over yet
            stacks = read_stacks(raw.read_text(errors="replace")) if raw.is_file() else []
            if process.returncode or not stacks:
                raise _explain(told.read_text(errors="replace"))
        write_picture(path, path.stem, stacks)


def _explain(told: str) -> ProxiaError:
    """Return the error for what py-spy told."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    if any(refusal in told.lower() for refusal in REFUSALS):
        return ProxiaError.from_parts(
            f"{PROGRAM} may not look into the processes of this benchmark: {lines[0]}",
            "the right to trace them",
            "run `sudo sysctl kernel.yama.ptrace_scope=0`, start a container with "
            "--cap-add SYS_PTRACE, or measure without --flame",
        )
    return ProxiaError.from_parts(
        f"{PROGRAM} made no picture: {' '.join(lines) or 'it told nothing'}",
        "stacks of a process that works",
        "try it again, or measure without --flame",
    )
