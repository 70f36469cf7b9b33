from rich.console import Console

from proxia_segmentation_ros.benchmark.compare import Change, Comparison
from proxia_segmentation_ros.cli.benchmark import tables
from proxia_segmentation_ros.cli.benchmark.tables import list_remarks, print_comparison

RATE = "BasicPerformanceMetrics.MEAN_FRAME_RATE"


def make_report(**custom):
    return {
        RATE: 20.0,
        "custom": {
            "subject": {"name": "model", "weights": "default", "precision": "f32"},
            "settings": {"size": "480x360"},
            "machine": {"cpu": "Xeon", "cores": 2, "busy_cores": 0.0},
            **custom,
        },
        "metadata": {},
    }


def test_remarks_tell_what_qualifies_the_figures():
    remarks = list(
        list_remarks(
            make_report(
                is_saturated=False,
                machine={"cpu": "Xeon", "cores": 2, "busy_cores": 1.04},
                memory={
                    "growth_percent": 1.25,
                    "start_mib": 200,
                    "end_mib": 202.5,
                    "highest_mib": 203,
                },
                killed_camera={
                    "undisturbed": {"sent": 20, "missed": 0},
                    "other_killed": {"sent": 20, "missed": 1},
                },
            )
        )
    )
    assert remarks[1:] == [
        "others kept 1.04 cores busy before the start: end them and measure again",
        "every frame at peak was labelled in some round: raise --saturate",
        "memory grew by 1.25 %, from 200.0 to 202.5 MiB (highest 203.0)",
        "undisturbed: the camera missed 0 of 20 frames",
        "the other killed: the camera missed 1 of 20 frames",
    ]


def test_change_is_shown_with_its_ratio_and_verdict(monkeypatch, capsys):
    monkeypatch.setattr(tables, "_make_console", lambda: Console(width=120))
    change = Change(
        phase="peak", metric=RATE, old=20.0, new=10.0, is_judged=True, is_regression=True
    )
    print_comparison(Comparison(changes=(change,), warnings=("machine cpu: [a] before",)))
    output = capsys.readouterr().out
    (row,) = [line for line in output.splitlines() if "MEAN_FRAME_RATE" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "peak",
        "MEAN_FRAME_RATE",
        "20.00",
        "10.00",
        "0.50",
        "worse",
    ]
    assert "warning: machine cpu: [a] before" in output
    assert "1 figures became worse than allowed" in output
