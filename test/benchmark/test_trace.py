import pytest

from proxia_segmentation_ros.benchmark.trace import (
    BASIC,
    OURS,
    Trace,
    measure_performance,
    merge_traces,
)


def make_trace(sent_s, received_s, **more):
    return Trace(sent_s=dict(enumerate(sent_s)), received_s=received_s, **more)


def test_frames_that_never_came_back_are_missed():
    figures = measure_performance(make_trace([0, 1, 2, 3], {0: 0.5, 3: 3.5}))
    assert figures[f"{BASIC}NUM_FRAMES_SENT"] == 4
    assert figures[f"{BASIC}NUM_MISSED_FRAMES"] == 2


def test_results_of_frames_that_were_not_sent_hide_no_missed_frame():
    assert make_trace([0, 1], {0: 0.5, 7: 0.9}).missed == 1


def test_rate_counts_gaps_and_not_frames():
    figures = measure_performance(make_trace([0.0, 0.1, 0.2], {0: 1.0, 1: 1.5, 2: 2.0}))
    assert figures[f"{BASIC}MEAN_FRAME_RATE"] == pytest.approx(2.0)
    assert figures[f"{BASIC}MEAN_PLAYBACK_FRAME_RATE"] == pytest.approx(10.0)
    assert figures[f"{BASIC}RECEIVED_DURATION"] == pytest.approx(1000.0)


def test_latency_is_paired_by_frame():
    trace = make_trace([0.0, 1.0, 2.0], {2: 2.030, 0: 0.010, 1: 1.020})
    figures = measure_performance(trace)
    assert figures[f"{BASIC}FIRST_INPUT_LATENCY"] == pytest.approx(10)
    assert figures[f"{BASIC}LAST_INPUT_LATENCY"] == pytest.approx(30)
    assert figures[f"{BASIC}MAX_LATENCY"] == pytest.approx(30)
    assert figures[f"{BASIC}MIN_LATENCY"] == pytest.approx(10)
    assert figures[f"{BASIC}MEAN_LATENCY"] == pytest.approx(20)
    assert figures[f"{OURS}P50_LATENCY"] == pytest.approx(20)
    assert figures[f"{OURS}P95_LATENCY"] == pytest.approx(29)
    assert figures[f"{OURS}P99_LATENCY"] == pytest.approx(29.8)


def test_jitter_is_the_change_between_neighbouring_gaps():
    received_s = {0: 0.0, 1: 0.10, 2: 0.30, 3: 0.40}
    figures = measure_performance(make_trace([0, 0, 0, 0], received_s))
    assert figures[f"{BASIC}MAX_JITTER"] == pytest.approx(100)
    assert figures[f"{BASIC}MEAN_JITTER"] == pytest.approx(100)
    assert figures[f"{BASIC}STD_DEV_JITTER"] == pytest.approx(0, abs=1e-9)
    # The gaps themselves are 100, 200 and 100 ms.
    assert figures[f"{OURS}STD_DEV_INTERVAL"] == pytest.approx(47.14, abs=0.01)
    assert figures[f"{OURS}P99_MINUS_P50_INTERVAL"] == pytest.approx(98.0)


def test_figures_that_can_not_be_computed_are_left_out():
    figures = measure_performance(make_trace([0.0, 1.0], {}))
    assert f"{BASIC}MEAN_FRAME_RATE" not in figures
    assert f"{OURS}P50_LATENCY" not in figures
    assert figures[f"{BASIC}NUM_MISSED_FRAMES"] == 2


def test_stages_are_medians_and_gauges_are_means():
    trace = make_trace(
        [0.0], {0: 1.0}, stages_ms={"infer": [1.0, 2.0, 9.0], "post": []}, gauges={"tiles": [1, 4]}
    )
    figures = measure_performance(trace.with_load({"ResourceMetrics.X": 5.0}))
    assert figures[f"{OURS}STAGE_INFER"] == 2.0
    assert f"{OURS}STAGE_POST" not in figures
    assert figures[f"{OURS}MEAN_TILES"] == 2.5
    assert figures["ResourceMetrics.X"] == 5.0


def test_cameras_with_equal_stamps_stay_apart():
    first = make_trace([0.0, 1.0], {0: 0.1}, stages_ms={"infer": [1.0]})
    second = make_trace([0.0, 1.0], {0: 0.2, 1: 1.2}, stages_ms={"infer": [3.0]})
    merged = merge_traces([first, second])
    assert (len(merged.sent_s), len(merged.received_s), merged.missed) == (4, 3, 1)
    assert sorted(merged.list_latencies_ms()) == pytest.approx([100, 200, 200])
    assert merged.stages_ms["infer"] == [1.0, 3.0]


def test_trace_survives_json():
    import json

    trace = make_trace([0.0, 1.0], {1: 1.5}, stages_ms={"pre": [1.0]}, gauges={"scales": [2]})
    assert Trace.from_json(json.loads(json.dumps(trace.to_json()))) == trace


def test_merged_traces_keep_the_figures_of_each_camera():
    left, right = (
        make_trace([0.0, 1.0], {0: 0.5, 1: 1.5}, gauges={"tiles_run": [tiles]})
        for tiles in (2.0, 4.0)
    )
    figures = measure_performance(merge_traces([left, right]))
    assert figures[f"{OURS}MEAN_TILES_RUN"] == pytest.approx(3.0)
    assert figures[f"{BASIC}NUM_FRAMES_SENT"] == 4
