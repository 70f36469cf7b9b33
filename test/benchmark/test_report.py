import pytest

from proxia_segmentation_ros.benchmark.report import (
    aggregate,
    compare_rounds,
    describe_machine,
    make_report,
    name_rate,
    was_busy,
)
from proxia_segmentation_ros.benchmark.rounds import Measurement
from proxia_segmentation_ros.benchmark.trace import BASIC, OURS, Trace

RATE, P50 = f"{BASIC}MEAN_FRAME_RATE", f"{OURS}P50_LATENCY"
MACHINE = {"cores": 2, "busy_cores": 0.02}
SETTINGS = {"size": "480x360", "source": "synthetic"}


def make_trace(gap_s, latency_ms, frames=5, missed=0, **load):
    sent_s = {key: key * gap_s for key in range(frames + missed)}
    received_s = {key: key * gap_s + latency_ms / 1000 for key in range(frames)}
    return Trace(sent_s=sent_s, received_s=received_s, load=load)


def test_rounds_are_concluded_by_what_a_figure_means():
    rounds = [make_trace(0.1, 10, missed=1), make_trace(0.2, 20), make_trace(0.4, 60, missed=3)]
    figures = aggregate(rounds)
    assert figures[f"{BASIC}NUM_MISSED_FRAMES"] == 4
    assert figures[f"{BASIC}NUM_FRAMES_SENT"] == 19
    assert figures[RATE] == pytest.approx(5.0)
    assert figures[f"{BASIC}MAX_LATENCY"] == pytest.approx(60)
    assert figures[f"{BASIC}MIN_LATENCY"] == pytest.approx(10)
    assert figures[f"{BASIC}MEAN_LATENCY"] == pytest.approx(20)


def test_percentiles_are_those_of_all_frames():
    # The median of the rounds' p50 is 10 as well, that of their p99 would be 10.
    figures = aggregate([make_trace(0.1, 10), make_trace(0.1, 10), make_trace(0.1, 100)])
    assert figures[P50] == pytest.approx(10)
    assert figures[f"{OURS}P99_LATENCY"] == pytest.approx(100)


def test_ratio_is_the_median_of_the_rounds_ratios():
    node = [make_trace(0.1, 12), make_trace(0.1, 30), make_trace(0.2, 11)]
    bare = [make_trace(0.1, 10), make_trace(0.05, 10), make_trace(0.1, 10)]
    main, against = (
        Measurement(name="node", traces={10.0: node}),
        Measurement(name="bare", traces={10.0: bare}),
    )
    ratios = compare_rounds(main, against)["10.0fps"]
    assert ratios[RATE] == {"median": 0.5, "rounds": [1.0, 0.5, 0.5]}
    assert ratios[P50] == {"median": 1.2, "rounds": [1.2, 3.0, 1.1]}
    assert ratios[f"added {P50}"] == {"median": 2.0, "rounds": [2.0, 20.0, 1.0]}


def test_latency_at_peak_is_not_compared():
    main = Measurement(name="a", traces={0.0: [make_trace(0.1, 10)]})
    assert list(compare_rounds(main, main)["peak"]) == [RATE]


def test_report_has_the_shape_of_ros2_benchmark():
    traces = {0.0: [make_trace(0.02, 10)], 10.0: [make_trace(0.1, 11)]}
    main = Measurement(name="node", description={"precision": "bf16"}, traces=traces)
    against = Measurement(name="bare model", traces={10.0: [make_trace(0.1, 10)]})
    report = make_report("node", main, against, SETTINGS, MACHINE)
    assert report[RATE] == pytest.approx(50)
    assert report["10.0fps"][RATE] == pytest.approx(10)
    assert report["metadata"]["BenchmarkMetadata.NAME"] == "node"
    assert report["metadata"]["BenchmarkMetadata.DATA_RESOLUTION"] == "480x360"
    custom = report["custom"]
    assert custom["subject"] == {"name": "node", "precision": "bf16"}
    assert custom["against"]["10.0fps"][P50] == pytest.approx(10)
    assert RATE not in custom["against"]
    assert custom["ratios"]["10.0fps"][f"added {P50}"]["median"] == pytest.approx(1)
    assert custom["machine"] == MACHINE


def test_one_other_process_makes_a_machine_busy_whatever_its_cores(monkeypatch):
    look = "proxia_segmentation_ros.benchmark.report.measure_busy_cores"
    for busy_cores, expected in ((0.06, False), (0.97, True)):
        monkeypatch.setattr(look, lambda found=busy_cores: found)
        machine = describe_machine()
        assert machine["cores"] >= 1
        assert was_busy(machine) is expected
    # A report of before this was looked at.
    assert not was_busy({"cores": 2, "load_average": 9.0})


def test_rates_are_named_as_ros2_benchmark_names_them():
    assert [name_rate(rate_hz) for rate_hz in (0.0, 10, 12.5)] == ["peak", "10.0fps", "12.5fps"]
