import os
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from proxia_segmentation_ros.benchmark import process_load
from proxia_segmentation_ros.benchmark.process_load import (
    LoadWatch,
    measure_busy_cores,
    read_memory_mib,
)
from proxia_segmentation_ros.benchmark.report import describe_machine
from proxia_segmentation_ros.errors import ConfigError

# Linux gives no process a larger number.
MISSING_PID = 2**22 + 1
CPU = "ProxiaMetrics.MEAN_PROCESS_CPU_UTILIZATION"


def watch_until_sampled(*pids: int) -> dict[str, float]:
    with LoadWatch(pids, period_s=0.005) as watch:
        while not watch.samples:
            sum(range(10_000))
    return watch.describe()


def test_own_work_is_seen() -> None:
    figures = watch_until_sampled(os.getpid())
    assert figures[CPU] > 0
    assert figures["ProxiaMetrics.MAX_PROCESS_MEMORY"] > 1
    assert 0 < figures["ResourceMetrics.MEAN_HOST_MEMORY_UTILIZATION"] < 100
    assert 0 <= figures["ResourceMetrics.MIN_OVERALL_CPU_UTILIZATION"] <= 100


def test_processor_time_is_that_within_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    # 60 s of user and kernel time before, 1.5 s of both in a block of 3 s.
    readings = iter(
        [SimpleNamespace(user=40.0, system=20.0), SimpleNamespace(user=41, system=20.5)]
    )
    moments_s = iter([100.0, 103.0])
    monkeypatch.setattr(psutil.Process, "cpu_times", lambda _process: next(readings))
    monkeypatch.setattr(process_load, "time", SimpleNamespace(monotonic=lambda: next(moments_s)))
    with LoadWatch([os.getpid()]) as watch:
        pass
    assert watch.describe()[CPU] == pytest.approx(50.0)


def test_resident_memory_of_two_processes_is_summed() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        figures = watch_until_sampled(os.getpid(), other.pid)
    assert figures["ProxiaMetrics.MAX_PROCESS_MEMORY"] > read_memory_mib(os.getpid())


def test_process_that_has_ended_uses_nothing() -> None:
    figures = watch_until_sampled(MISSING_PID)
    assert (figures[CPU], figures["ProxiaMetrics.MAX_PROCESS_MEMORY"]) == (0, 0)


def test_process_that_ends_meanwhile_is_no_error() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
        LoadWatch([other.pid]) as watch,
    ):
        other.kill()
        other.wait()
    assert watch.describe()[CPU] == 0


def test_busy_cores_are_a_share_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_s: list[float] = []

    def measure(interval: float) -> float:
        asked_s.append(interval)
        return 25.0

    monkeypatch.setattr(psutil, "cpu_percent", measure)
    monkeypatch.setattr(psutil, "cpu_count", lambda: 8)
    assert measure_busy_cores(0.8) == pytest.approx(2.0)
    assert asked_s == [0.8]


def test_benchmark_without_psutil_is_refused_before_it_measures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ConfigError, match="'psutil' is not installed"):
        describe_machine()
