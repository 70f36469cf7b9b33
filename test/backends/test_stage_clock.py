"""The time of one frame, stage by stage."""

import pytest

from proxia_segmentation_ros.backends.stage_clock import StageClock


def test_marks_end_stages_and_add_up() -> None:
    times = iter([10.0, 10.001, 10.021, 10.024, 10.030])
    clock = StageClock(lambda: next(times))
    for stage in ("pre", "infer", "post", "infer"):
        clock.mark(stage)
    assert clock.stages_ms == pytest.approx({"pre": 1.0, "infer": 26.0, "post": 3.0})
    assert list(clock.stages_ms) == ["pre", "infer", "post"]


def test_skipped_time_belongs_to_no_stage() -> None:
    times = iter([0.0, 0.5, 0.502])
    clock = StageClock(lambda: next(times))
    clock.skip()
    clock.mark("infer")
    assert clock.stages_ms == pytest.approx({"infer": 2.0})


def test_time_measured_elsewhere_is_added_and_leaves_the_mark_where_it_is() -> None:
    times = iter([0.0, 0.004])
    clock = StageClock(lambda: next(times))
    clock.add("infer", 30.0)
    clock.mark("infer")
    assert clock.stages_ms == pytest.approx({"infer": 34.0})


def test_what_was_told_does_not_change_any_more() -> None:
    clock = StageClock(lambda: 0.0)
    told = clock.stages_ms
    clock.mark("pre")
    assert told == {}
