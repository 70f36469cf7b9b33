"""Processor time and memory of processes and of the whole machine, read from Linux's /proc."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from typing_extensions import Self

PROC = Path("/proc")
SAMPLE_PERIOD_S = 0.1
LOOK_S = 0.5
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20
RESOURCE = "ResourceMetrics."
OURS = "ProxiaMetrics."


def read_cpu_s(pid: int, proc: Path = PROC) -> float:
    """Return the processor seconds that a process has used, its own and the kernel's for it."""
    text = (proc / str(pid) / "stat").read_text()
    # The name in parentheses may hold anything, blanks and parentheses included.
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def read_memory_mib(pid: int, proc: Path = PROC) -> float:
    """Return the resident memory of a process in MiB."""
    pages = int((proc / str(pid) / "statm").read_text().split()[1])
    return pages * PAGE_BYTES / MIB


def read_machine_ticks(proc: Path = PROC) -> tuple[int, int]:
    """Return busy and all ticks of all processors since the machine started."""
    line = (proc / "stat").read_text().splitlines()[0]
    # Guests are counted in user time already.
    user, nice, system, idle, iowait, *rest = (int(one) for one in line.split()[1:9])
    busy = user + nice + system + sum(rest)
    return busy, busy + idle + iowait


def measure_busy_cores(seconds: float = LOOK_S, proc: Path = PROC) -> float:
    """Return how many cores all processes together keep busy within that time from now."""
    (busy, _), began_s = read_machine_ticks(proc), time.monotonic()
    time.sleep(seconds)
    (busy_now, _), ended_s = read_machine_ticks(proc), time.monotonic()
    return (busy_now - busy) / TICKS_PER_S / (ended_s - began_s)


def read_memory_percent(proc: Path = PROC) -> float:
    """Return how much of the machine's memory is in use, in percent."""
    lines = (proc / "meminfo").read_text().splitlines()
    sizes = {name: int(rest.split()[0]) for name, _, rest in (one.partition(":") for one in lines)}
    return 100 * (1 - sizes["MemAvailable"] / sizes["MemTotal"])


class LoadWatch:
    """Sample the load of some processes and of the machine while the block runs."""

    def __init__(self, pids: Sequence[int], period_s: float = SAMPLE_PERIOD_S) -> None:
        self._pids = list(pids)
        self._period_s = period_s
        self._machine_percent: list[float] = []
        self._memory_percent: list[float] = []
        self._memory_mib: list[float] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample_until_stopped, daemon=True)
        self._began_s = self._ended_s = 0.0
        self._cpu_s = 0.0

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        self._cpu_s = -self._sum_cpu_s()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self._ended_s = time.monotonic()
        self._cpu_s += self._sum_cpu_s()

    @property
    def samples(self) -> int:
        """How often the machine was looked at."""
        return len(self._memory_mib)

    def describe(self) -> dict[str, float]:
        """Return the figures under their report names; call it after the block."""
        elapsed_s = max(self._ended_s - self._began_s, 1e-9)
        figures = {
            f"{RESOURCE}RESOURCE_PROFILING_SAMPLING_RATE": 1 / self._period_s,
            f"{OURS}MEAN_PROCESS_CPU_UTILIZATION": 100 * self._cpu_s / elapsed_s,
        }
        if self._memory_mib:
            figures[f"{OURS}MAX_PROCESS_MEMORY"] = max(self._memory_mib)
        for name, percents in (
            ("OVERALL_CPU", self._machine_percent),
            ("HOST_MEMORY", self._memory_percent),
        ):
            if percents:
                figures[f"{RESOURCE}MAX_{name}_UTILIZATION"] = max(percents)
                figures[f"{RESOURCE}MIN_{name}_UTILIZATION"] = min(percents)
                figures[f"{RESOURCE}MEAN_{name}_UTILIZATION"] = float(np.mean(percents))
                figures[f"{RESOURCE}STDDEV_{name}_UTILIZATION"] = float(np.std(percents))
        return figures

    def _sample_until_stopped(self) -> None:
        busy, total = read_machine_ticks()
        while not self._stopped.wait(self._period_s):
            busy_now, total_now = read_machine_ticks()
            if total_now > total:
                self._machine_percent.append(100 * (busy_now - busy) / (total_now - total))
            busy, total = busy_now, total_now
            self._memory_percent.append(read_memory_percent())
            self._memory_mib.append(sum(_read_or_zero(read_memory_mib, pid) for pid in self._pids))

    def _sum_cpu_s(self) -> float:
        return sum(_read_or_zero(read_cpu_s, pid) for pid in self._pids)


def _read_or_zero(read: Callable[[int], float], pid: int) -> float:
    """Read one process; one that has ended uses nothing any more."""
    try:
        return read(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
