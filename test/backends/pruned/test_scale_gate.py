"""Whole scales are dropped when they matter little, and come back."""

from proxia_segmentation_ros.backends.pruned.scale_gate import (
    DROP_BELOW,
    KEEP_ABOVE,
    RECHECK_FRAMES,
    ScaleGate,
)

SCALES = (0.5, 1.0, 2.0)


def report_often(gate: ScaleGate, shares: dict[float, float], frames: int = 100) -> None:
    for _ in range(frames):
        gate.report(shares)


def test_all_scales_run_at_first_and_while_they_matter() -> None:
    gate = ScaleGate(SCALES)
    assert gate.choose() == SCALES
    report_often(gate, {0.5: 0.4, 1.0: 0.6, 2.0: 0.3})
    assert gate.choose() == SCALES


def test_one_frame_without_demand_drops_nothing() -> None:
    gate = ScaleGate(SCALES)
    report_often(gate, {0.5: 0.4, 1.0: 0.6, 2.0: 0.3})
    gate.report({0.5: 1.0, 1.0: 0.0, 2.0: 0.0})
    assert gate.choose() == SCALES


def test_a_large_scale_without_demand_is_dropped_and_comes_back_with_it() -> None:
    gate = ScaleGate(SCALES)
    report_often(gate, {0.5: 0.4, 1.0: 0.6, 2.0: 0.001})
    assert gate.choose() == (0.5, 1.0)
    report_often(gate, {0.5: 0.4, 1.0: 0.6, 2.0: 0.3}, frames=5)
    assert gate.choose() == SCALES


def test_a_share_between_the_marks_changes_nothing() -> None:
    between = (DROP_BELOW + KEEP_ABOVE) / 2
    kept, dropped = ScaleGate(SCALES), ScaleGate(SCALES)
    report_often(dropped, {2.0: 0.0})
    for gate in (kept, dropped):
        report_often(gate, {0.5: 0.4, 1.0: 0.6, 2.0: between})
    assert kept.choose() == SCALES
    assert dropped.choose() == (0.5, 1.0)


def test_the_smallest_scale_is_dropped_and_looked_at_again_every_so_often() -> None:
    gate = ScaleGate(SCALES)
    report_often(gate, {0.5: 0.0, 1.0: 1.0, 2.0: 0.4})
    assert gate.choose() == (1.0, 2.0)
    chosen = []
    for _ in range(3 * (RECHECK_FRAMES + 1)):
        chosen.append(gate.choose())
        gate.report({2.0: 0.4} if chosen[-1] == (1.0, 2.0) else {0.5: 0.0, 1.0: 1.0, 2.0: 0.4})
    assert chosen.count(SCALES) == 3


def test_one_look_brings_the_smallest_scale_back() -> None:
    gate = ScaleGate(SCALES)
    report_often(gate, {0.5: 0.0, 1.0: 1.0, 2.0: 0.4})
    report_often(gate, {2.0: 0.4}, frames=RECHECK_FRAMES)
    gate.report({0.5: 0.3, 1.0: 0.7, 2.0: 0.4})
    assert gate.choose() == SCALES


def test_one_scale_stays_whatever_the_shares() -> None:
    gate = ScaleGate(SCALES)
    report_often(gate, dict.fromkeys(SCALES, 0.0))
    assert len(gate.choose()) == 1
