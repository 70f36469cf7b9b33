import json
from typing import Any

import pytest

from proxia_segmentation_ros.benchmark.compare import (
    compare_reports,
    list_changes,
    list_warnings,
    read_allowance,
)
from proxia_segmentation_ros.benchmark.trace import BASIC, OURS
from proxia_segmentation_ros.errors import ConfigError, InputError

RATE, P50 = f"{BASIC}MEAN_FRAME_RATE", f"{OURS}P50_LATENCY"
SENT, MISSED = f"{BASIC}NUM_FRAMES_SENT", f"{BASIC}NUM_MISSED_FRAMES"


def make_report(rate=20.0, p50=40.0, missed=0, baseline=20.0, ratio=1.0, **custom):
    return {
        RATE: rate,
        MISSED: 500,
        SENT: 1000,
        f"{BASIC}MAX_LATENCY": 1000.0 * p50,
        "10.0fps": {P50: p50, MISSED: missed, SENT: 100},
        "custom": {
            "subject": {"name": "node", "precision": "f32"},
            "machine": {"cpu": "Xeon", "cores": 2, "busy_cores": 0.2},
            "settings": {"size": "480x360"},
            "against": {"subject": {"name": "bare model"}, RATE: baseline},
            "ratios": {"peak": {RATE: {"median": ratio, "rounds": [ratio]}}},
            **custom,
        },
        "metadata": {},
    }


def find_regressions(old, new, allowed=0.05):
    changes = list_changes(old, new, allowed)
    return [(change.phase, change.metric) for change in changes if change.is_regression]


def test_equal_reports_have_no_regression():
    assert find_regressions(make_report(), make_report()) == []


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"rate": 18.9}, ("peak", RATE)),
        ({"p50": 42.1}, ("10.0fps", P50)),
        ({"missed": 6}, ("10.0fps", MISSED)),
        ({"ratio": 0.94}, ("peak, ratio", RATE)),
    ],
)
def test_what_became_worse_beyond_the_allowance_is_a_regression(changed, where):
    assert find_regressions(make_report(), make_report(**changed)) == [where]


@pytest.mark.parametrize(
    "changed", [{"rate": 19.1}, {"p50": 41.9}, {"missed": 5}, {"rate": 40.0, "p50": 20.0}]
)
def test_what_is_within_the_allowance_or_better_is_none(changed):
    assert find_regressions(make_report(), make_report(**changed)) == []


def test_frames_missed_at_peak_are_missed_on_purpose():
    old, new = make_report(), make_report()
    new[MISSED] = 990
    assert find_regressions(old, new) == []


def test_extremes_are_not_shown():
    assert f"{BASIC}MAX_LATENCY" not in {
        change.metric for change in list_changes(make_report(), make_report(), 0.05)
    }


def test_other_machine_and_precision_are_warned_of():
    new = make_report(
        subject={"name": "node", "precision": "bf16"},
        machine={"cpu": "EPYC", "cores": 2, "busy_cores": 1.04},
    )
    told = list(list_warnings(make_report(), new, 0.05))
    assert "machine cpu: Xeon before, EPYC now" in told
    assert "subject precision: f32 before, bf16 now" in told
    assert "others kept 1.04 cores of the machine busy now" in told
    assert list(list_warnings(make_report(), make_report(), 0.05)) == []


def test_changed_baseline_is_told():
    told = list(list_warnings(make_report(), make_report(baseline=10.0), 0.05))
    assert told == [
        "bare model at peak runs 0.50 times as fast as before: compare the ratios instead"
    ]


def test_ratios_to_different_baselines_are_not_compared():
    new = make_report(ratio=0.1, against={"subject": {"name": "eager"}, RATE: 1.0})
    assert find_regressions(make_report(), new) == []
    assert "measured by bare model before, eager now: no ratios" in list(
        list_warnings(make_report(), new, 0.05)
    )


def test_growth_from_nothing_is_infinite(tmp_path):
    changes = list(list_changes(make_report(), make_report(missed=3), 0.05))
    (missed,) = (
        change for change in changes if change.metric == MISSED and change.phase == "10.0fps"
    )
    assert missed.ratio == float("inf")


def write(folder, name, report):
    path = folder / name
    path.write_text(json.dumps(report))
    return path


def test_files_are_compared(tmp_path):
    before, after = (
        write(tmp_path, f"{name}.json", report)
        for name, report in (("old", make_report()), ("new", make_report(rate=10.0)))
    )
    assert [change.metric for change in compare_reports(before, after, 0.05).regressions] == [RATE]


def test_file_that_is_no_report_is_an_error(tmp_path):
    good = write(tmp_path, "good.json", make_report())
    contents: list[Any] = [{"a": 1}, []]
    for content in contents:
        with pytest.raises(InputError, match="has no metadata"):
            compare_reports(good, write(tmp_path, "bad.json", content), 0.05)
    with pytest.raises(InputError, match="can't be read"):
        compare_reports(good, tmp_path / "none.json", 0.05)


def test_reports_without_a_shared_figure_are_refused(tmp_path):
    old = write(tmp_path, "old.json", {RATE: 1.0, "custom": {}, "metadata": {}})
    new = write(tmp_path, "new.json", {"5.0fps": {RATE: 1.0}, "custom": {}, "metadata": {}})
    with pytest.raises(InputError, match="have no figure in common"):
        compare_reports(old, new, 0.05)


def test_allowance_is_a_share_or_percent():
    assert read_allowance("5%") == pytest.approx(0.05)
    assert read_allowance("0.05") == pytest.approx(0.05)
    for text in ("five", "-1%", "500"):
        with pytest.raises(ConfigError, match="--allow is"):
            read_allowance(text)
