import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from proxia_segmentation_ros.benchmark import process_load
from proxia_segmentation_ros.benchmark.process_load import (
    PAGE_BYTES,
    TICKS_PER_S,
    LoadWatch,
    measure_busy_cores,
    read_cpu_s,
    read_machine_ticks,
    read_memory_mib,
    read_memory_percent,
)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Return a /proc as Linux writes it, with process 7."""
    (tmp_path / "7").mkdir()
    fields = " ".join(str(number) for number in range(4, 14))
    (tmp_path / "7" / "stat").write_text(f"7 (a (strange) name) S {fields} 300 200 0 0\n")
    (tmp_path / "7" / "statm").write_text("9999 512 3 4 0 6 0\n")
    (tmp_path / "stat").write_text("cpu  10 5 20 100 40 1 2 3 50 60\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n")
    return tmp_path


def test_processor_time_is_the_process_own_and_the_kernels(proc: Path) -> None:
    assert read_cpu_s(7, proc) == 500 / TICKS_PER_S


def test_resident_memory_is_counted_in_pages(proc: Path) -> None:
    assert read_memory_mib(7, proc) == pytest.approx(512 * PAGE_BYTES / 2**20)


def test_waiting_for_disks_is_idle_and_guests_count_once(proc: Path) -> None:
    assert read_machine_ticks(proc) == (41, 181)


def test_busy_cores_are_those_of_the_time_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy past, such as a benchmark's before this one, does not count.
    ticks = iter([(900 * TICKS_PER_S, 1000), (901 * TICKS_PER_S, 2000)])
    # The sleep takes longer than it was told to.
    moments_s = iter([10.0, 11.25])
    slept_s: list[float] = []
    monkeypatch.setattr(process_load, "read_machine_ticks", lambda _proc: next(ticks))
    clock = SimpleNamespace(monotonic=lambda: next(moments_s), sleep=slept_s.append)
    monkeypatch.setattr(process_load, "time", clock)
    assert measure_busy_cores(0.8) == pytest.approx(0.8)
    assert slept_s == [0.8]


def test_memory_that_can_be_had_is_free(proc: Path) -> None:
    assert read_memory_percent(proc) == pytest.approx(75.0)


def test_own_work_is_seen() -> None:
    with LoadWatch([os.getpid()], period_s=0.005) as watch:
        while not watch.samples:
            sum(range(10_000))
    figures = watch.describe()
    assert figures["ProxiaMetrics.MEAN_PROCESS_CPU_UTILIZATION"] > 0
    assert figures["ProxiaMetrics.MAX_PROCESS_MEMORY"] > 1
    assert 0 < figures["ResourceMetrics.MEAN_HOST_MEMORY_UTILIZATION"] < 100


def test_process_that_has_ended_uses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_load, "read_memory_percent", lambda: 50.0)
    # The largest number that Linux may be told to give a process is 2**22.
    with LoadWatch([2**22 + 1], period_s=0.005) as watch:
        while not watch.samples:
            pass
    assert watch.describe()["ProxiaMetrics.MEAN_PROCESS_CPU_UTILIZATION"] == 0
