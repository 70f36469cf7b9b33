"""Processor time and memory of processes and of the whole machine, by psutil."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import Self

from proxia_segmentation_ros.benchmark.optional_dependencies import import_extra

if TYPE_CHECKING:
    import psutil

SAMPLE_PERIOD_S = 0.1
IDLE_CHECK_S = 0.5
MIB = 1 << 20
RESOURCE = "ResourceMetrics."
OURS = "ProxiaMetrics."


def read_memory_mib(pid: int) -> float:
    """Return the resident memory of a process in MiB.

    Raises:
        ConfigError: psutil is not installed.
    """
    return _get_memory_mib(import_extra("psutil").Process(pid))


def measure_busy_cores(seconds: float = IDLE_CHECK_S) -> float:
    """Return how many cores all processes together keep busy during the next `seconds`.

    Raises:
        ConfigError: psutil is not installed.
    """
    psutil = import_extra("psutil")
    return float(psutil.cpu_percent(seconds)) / 100 * int(psutil.cpu_count())


class LoadWatch:
    """Sample the load of some processes and of the machine while the block runs."""

    def __init__(self, pids: Sequence[int], period_s: float = SAMPLE_PERIOD_S) -> None:
        """Look the processes up; one that has ended counts as idle.

        Raises:
            ConfigError: psutil is not installed.
        """
        self._psutil = import_extra("psutil")
        self._processes = list(self._find_processes(pids))
        self._period_s = period_s
        self._machine_percent: list[float] = []
        self._memory_percent: list[float] = []
        self._memory_mib: list[float] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample_until_stopped, daemon=True)
        self._began_s = self._ended_s = 0.0
        self._cpu_began_s: dict[psutil.Process, float] = {}
        self._cpu_s = 0.0

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        self._cpu_began_s = self._read_all(_get_cpu_s)
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
        # A process that ended meanwhile is left out: its time is unknown.
        cpu_ended_s = self._read_all(_get_cpu_s)
        self._cpu_s = sum(
            ended_s - self._cpu_began_s[process] for process, ended_s in cpu_ended_s.items()
        )

    @property
    def samples(self) -> int:
        """Number of samples so far."""
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
        # cpu_percent() covers the time since its last call in the same thread.
        self._psutil.cpu_percent()
        while not self._stopped.wait(self._period_s):
            self._machine_percent.append(float(self._psutil.cpu_percent()))
            self._memory_percent.append(float(self._psutil.virtual_memory().percent))
            self._memory_mib.append(sum(self._read_all(_get_memory_mib).values()))

    def _find_processes(self, pids: Sequence[int]) -> "Iterator[psutil.Process]":
        for pid in pids:
            with suppress(self._psutil.NoSuchProcess):
                yield self._psutil.Process(pid)

    def _read_all(self, read: "Callable[[psutil.Process], float]") -> "dict[psutil.Process, float]":
        """Return a figure of each process that is still there."""
        figures = {}
        for process in self._processes:
            with suppress(self._psutil.NoSuchProcess):
                figures[process] = read(process)
        return figures


def _get_cpu_s(process: "psutil.Process") -> float:
    """Return the processor seconds in user and kernel mode."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _get_memory_mib(process: "psutil.Process") -> float:
    return float(process.memory_info().rss) / MIB
