import pytest
from demo_record_sample import fill, make_record

from proxia_segmentation_ros.apps.demo.record import (
    summarize_demo,
)
from proxia_segmentation_ros.ros.client.listener import ReceivedStats


def test_summary_has_the_keys_that_users_read():
    summary = summarize_demo(make_record([fill(3)] * 2, [fill(3)] * 2))
    assert list(summary) == [
        "source",
        "model",
        "backend",
        "precision",
        "size",
        "frames_published",
        "frames_labelled",
        "frames_dropped",
        "fps",
        "latency_ms",
        "objects_seen",
        "miou",
    ]
    assert list(summary["latency_ms"]) == ["p50", "p95", "p99"]


def test_lost_frames_are_dropped_ones():
    summary = summarize_demo(make_record([fill(3), None, fill(3)], [None] * 3))
    assert summary["frames_published"] == 3
    assert summary["frames_labelled"] == 2
    assert summary["frames_dropped"] == 1


def test_rate_counts_labelled_frames_in_the_time_of_all():
    lossless = summarize_demo(make_record([fill(3)] * 5, [None] * 5, rate_hz=10.0))
    lossy = summarize_demo(make_record([fill(3), None] * 2, [None] * 4, rate_hz=10.0))
    assert (lossless["fps"], lossy["fps"]) == (10.0, 5.0)


def test_latency_reaches_from_publishing_to_arrival():
    # Frames take 20, 30 and 40 ms.
    summary = summarize_demo(make_record([fill(3)] * 3, [None] * 3))
    assert summary["latency_ms"] == pytest.approx({"p50": 30.0, "p95": 39.0, "p99": 39.8})


def test_objects_are_counted_by_their_fullest_frame():
    summary = summarize_demo(make_record([fill(3)] * 2, [None] * 2))
    assert summary["objects_seen"] == {"pedestrian": 4, "car": 3}


def test_miou_counts_classes_with_true_pixels_in_labelled_frames():
    half = fill(3)
    half[:, 16:] = 0
    # Class 8 is predicted and never true: it only costs class 0 its pixels.
    predicted = fill(3)
    predicted[:, 16:] = 8
    summary = summarize_demo(make_record([predicted, None], [half, fill(5)]))
    assert summary["miou"] == pytest.approx(0.5)


def test_pixels_without_truth_count_nowhere():
    truth = fill(255)
    truth[:12] = 3
    assert summarize_demo(make_record([fill(3)], [truth]))["miou"] == 1.0


def test_miou_is_unknown_without_truth_or_with_other_classes():
    assert summarize_demo(make_record([fill(3)], [None]))["miou"] is None
    other = make_record([fill(3)], [fill(3)], truth_names=("road", "sky"))
    assert summarize_demo(other)["miou"] is None


def test_figures_without_labels_are_unknown():
    summary = summarize_demo(make_record([None], [None]))
    assert (summary["fps"], summary["size"], summary["latency_ms"]["p99"]) == (None, None, None)


def test_ledger_adds_up_only_when_every_frame_is_accounted_for():
    stats = ReceivedStats(0.0, 5, 3, {"replaced": 1, "stale": 0}, "torch", "f32", 1.0)
    assert not stats.adds_up
    assert ReceivedStats(0.0, 4, 3, {"replaced": 1}, "torch", "f32", 1.0).adds_up
