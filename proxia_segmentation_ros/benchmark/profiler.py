"""Profiles of running Python processes, sampled and written by the optional program py-spy."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from proxia_segmentation_ros.errors import ConfigError, ProxiaError

PROGRAM = "py-spy"
# What py-spy writes, by the suffix of the file.
FORMATS = {".svg": "flamegraph", ".json": "speedscope"}
RATE_HZ = 200
# For py-spy to start, and to write its file.
OVERHEAD_TIMEOUT_S = 30.0
REFUSALS = ("permission denied", "operation not permitted")


class Profiler:
    """Run py-spy, which samples the stacks of all threads without pausing the process.

    Python functions only: for native ones py-spy would have to pause the process at each sample,
    and it would count waiting threads as working.
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
                "run `pip install 'proxia_segmentation_ros[profile]'`, or measure without --flame",
            )
        self._program = program

    @contextmanager
    def recording(self, pid: int, seconds: float, path: Path) -> Iterator[Callable[[], bool]]:
        """Profile a process while the block runs; yields a function that tells when it is over.

        Raises:
            ProxiaError: py-spy wrote no profile.
        """
        deadline_s = time.monotonic() + seconds + OVERHEAD_TIMEOUT_S
        with TemporaryDirectory() as folder:
            profile, log = Path(folder, f"profile{path.suffix}"), Path(folder, "log.txt")
            command = self._make_command(pid, seconds, profile)
            # py-spy would block on a full pipe that nobody reads; a file takes all that it prints.
            with (
                log.open("wb") as output,
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
                ) as process,
            ):
                try:
                    yield lambda: process.poll() is not None or time.monotonic() > deadline_s
                finally:
                    process.kill()  # in case it still runs
            if process.returncode or not profile.is_file():
                raise _explain(log.read_text(errors="replace"))
            shutil.copyfile(profile, path)

    def _make_command(self, pid: int, seconds: float, profile: Path) -> list[str]:
        command = [self._program, "record", "--nonblocking", "--threads", "--nolineno"]
        command += ["--format", FORMATS[profile.suffix.lower()], "--output", str(profile)]
        return [*command, "--rate", str(RATE_HZ), "--duration", f"{seconds:g}", "--pid", str(pid)]


def _explain(log: str) -> ProxiaError:
    """Return the error for what py-spy printed."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if any(refusal in log.lower() for refusal in REFUSALS):
        return ProxiaError.from_parts(
            f"{PROGRAM} may not look into the processes of this benchmark: {lines[0]}",
            "the right to trace them",
            "run `sudo sysctl kernel.yama.ptrace_scope=0`, start a container with "
            "--cap-add SYS_PTRACE, or measure without --flame",
        )
    return ProxiaError.from_parts(
        f"{PROGRAM} wrote no profile: {' '.join(lines) or 'it printed nothing'}",
        "stacks of a process that works",
        "try it again, or measure without --flame",
    )
