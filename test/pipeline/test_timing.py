"""Counters and rolling times."""

import math
import weakref

import pytest

from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.pipeline.timing import (
    STAGES,
    FrameLedger,
    Outcome,
    RateMeter,
    RollingTimes,
    StreamMeter,
)


def test_ledger_adds_up():
    ledger = FrameLedger()
    outcomes: list[Outcome] = [
        "labelled",
        "dropped_replaced",
        "dropped_stale",
        "dropped_undecodable",
        "dropped_refused",
        "dropped_paused",
        "dropped_failed",
    ]
    for outcome in outcomes:
        ledger.receive()
        ledger.finish(outcome)
    ledger.receive()
    counts = ledger.counts()
    assert (counts.received, counts.labelled, counts.dropped, counts.under_way) == (8, 1, 6, 1)


def test_times_older_than_the_window_are_forgotten():
    times = RollingTimes(window_s=1.0)
    times.add(1000.0, now_s=0.0)
    for number in range(100):
        times.add(float(number), now_s=0.5)
    p50, p95, p99 = times.percentiles(now_s=1.2)
    assert (p50, p95, p99) == (pytest.approx(49.5), pytest.approx(94.05), pytest.approx(98.01))
    assert times.rate_hz(now_s=1.2) == 100.0


def test_times_that_nobody_asks_for_do_not_pile_up():
    class Duration(float):
        """A float that can be referred to weakly."""

    def add_at(second: int) -> weakref.ref[Duration]:
        duration = Duration(1.0)
        times.add(duration, now_s=float(second))
        return weakref.ref(duration)

    times = RollingTimes(window_s=1.0)
    references = [add_at(second) for second in range(50)]
    assert [reference() for reference in references] == [None] * 49 + [1.0]


def test_no_times_are_nan_and_a_rate_of_zero():
    times = StreamMeter().times(now_s=5.0)
    assert times.rate_hz == 0.0
    assert all(
        math.isnan(value) for value in (*times.latency_ms, *times.age_ms, times.inference_ms)
    )


def test_meter_keeps_its_three_times_apart():
    meter = StreamMeter()
    meter.add(latency_ms=30.0, age_ms=40.0, inference_ms=20.0, now_s=1.0)
    times = meter.times(now_s=1.1)
    assert (times.latency_ms[0], times.age_ms[2], times.inference_ms) == (30.0, 40.0, 20.0)


def test_meter_gives_the_median_of_each_stage_and_nan_where_none_took_it() -> None:
    meter = StreamMeter()
    for spent_ms in (1.0, 9.0, 2.0):
        meter.add_stages({"decode": spent_ms, "infer": 10 * spent_ms, "tea": 5.0}, now_s=1.0)
    stages_ms = meter.times(now_s=1.1).stages_ms
    assert tuple(stages_ms) == STAGES
    assert (stages_ms["decode"], stages_ms["infer"]) == (2.0, 20.0)
    assert math.isnan(stages_ms["objects"])
    assert math.isnan(meter.times(now_s=2.1).stages_ms["decode"])


def test_stage_clock_gives_each_stage_the_time_since_the_last_mark() -> None:
    times = iter([10.0, 10.25, 11.0, 11.5, 13.5])
    clock = StageClock(lambda: next(times))
    clock.mark("pre")
    clock.skip()
    clock.mark("infer")
    clock.mark("pre")
    assert clock.stages_ms == {"pre": 2250.0, "infer": 500.0}


def test_stage_clock_takes_times_from_elsewhere() -> None:
    clock = StageClock(lambda: 1.0)
    clock.add("pre", 2.0)
    clock.add("pre", 0.5)
    clock.mark("pre")
    assert clock.stages_ms == {"pre": 2.5}


def test_rate_is_found_over_a_window_once_it_is_full() -> None:
    meter = RateMeter(window_s=2.0)
    assert meter.add(0, 10.0) is None
    assert meter.add(15, 11.0) is None
    assert meter.add(30, 12.0) == pytest.approx(15.0)
    assert meter.add(30, 13.0) == pytest.approx(7.5)
    assert meter.add(30, 14.0) == pytest.approx(0.0)
