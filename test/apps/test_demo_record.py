import numpy as np
import pytest
from sample_files import draw_image

from proxia_segmentation_ros.apps.demo_record import (
    DemoRecord,
    join_moments,
    summarize_demo,
)
from proxia_segmentation_ros.apps.sources import SourceFrame
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.ros.frames import PlayedFrame
from proxia_segmentation_ros.ros.listener import ReceivedLabels, ReceivedScene, ReceivedStats
from proxia_segmentation_ros.ros.player import PublishedFrame

SECOND_NS = 10**9


def make_record(predicted, truths, *, rate_hz=10.0, truth_names=None):
    """Return a record of one frame for each truth; `predicted` None is a lost frame."""
    label_set = load_label_set("camvid")
    sources = [SourceFrame(PlayedFrame.from_rgb(draw_image(0)), truth) for truth in truths]
    published, labels = [], {}
    for index, one in enumerate(predicted):
        sent_at_s = index / rate_hz
        published.append(PublishedFrame(index, index * SECOND_NS, sent_at_s))
        if one is not None:
            stamp_ns = index * SECOND_NS
            labels[stamp_ns] = ReceivedLabels(stamp_ns, sent_at_s + 0.02 + 0.01 * index, one)
    scenes = {0: ReceivedScene(0, "camvid", (), {"car": 3}), SECOND_NS: None}
    scenes[SECOND_NS] = ReceivedScene(SECOND_NS, "camvid", (), {"car": 1, "pedestrian": 4})
    return DemoRecord(
        source="test",
        model="tiny",
        rate_hz=rate_hz,
        label_set=label_set,
        truth_names=label_set.names if truth_names is None else truth_names,
        moments=join_moments(sources, published, labels, scenes),
        stats=ReceivedStats(0.0, 3, 2, {"replaced": 1}, "openvino", "f32", 5.0),
    )


def fill(value):
    return np.full((24, 32), value, np.uint8)


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
