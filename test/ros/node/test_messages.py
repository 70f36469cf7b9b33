"""Results as messages."""

import math

import numpy as np
import pytest
from std_msgs.msg import Header

from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.objects.summary import Scene, SceneClass, SceneObject
from proxia_segmentation_ros.pipeline.timing import NO_PERCENTILES, LedgerCounts, StreamTimes
from proxia_segmentation_ros.ros.node.messages import (
    make_header,
    make_image,
    make_label_info,
    make_stats,
    make_summary,
)
from proxia_segmentation_ros.wire.cdr import CompressedImageMessage

NAN = float("nan")


@pytest.mark.parametrize(
    ("shape", "dtype", "encoding", "step"),
    [
        ((4, 6), np.uint8, "mono8", 6),
        ((4, 6), np.uint16, "mono16", 12),
        ((4, 6, 3), np.uint8, "rgb8", 18),
    ],
)
def test_image_has_no_padding_and_holds_every_pixel(shape, dtype, encoding, step):
    pixels = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    message = make_image(Header(frame_id="cam"), pixels)
    assert (message.height, message.width) == (4, 6)
    assert (message.encoding, message.step) == (encoding, step)
    assert message.header.frame_id == "cam"
    assert message.data.tobytes() == pixels.tobytes()


def test_image_of_a_view_is_that_view():
    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8)[::2, ::2]
    assert make_image(Header(), pixels).data.tobytes() == pixels.tobytes()


def test_header_is_copied_bit_for_bit():
    message = CompressedImageMessage(-3, 2**32 - 1, "câm/1 ", "jpeg", memoryview(b""))
    header = make_header(message)
    assert (header.stamp.sec, header.stamp.nanosec) == (-3, 2**32 - 1)
    assert header.frame_id == "câm/1 "


def test_label_info_lists_ids_names_and_threshold():
    label_set = load_label_set("camvid")
    info = make_label_info(Header(), label_set, 0.5)
    assert [one.class_name for one in info.class_map] == list(label_set.names)
    assert [one.class_id for one in info.class_map] == list(range(len(label_set)))
    assert info.threshold == 0.5


def test_summary_keeps_every_field_of_a_scene():
    thing = SceneObject(0, 70, (3, 4, 10, 7), (8.5, 7.0), 0.75, True, 2.5, (0.1, 0.2, 2.5))
    group = SceneClass(8, "car", 90, 0.25, NAN, (thing,))
    scene = Scene(width=20, height=18, unlabeled_fraction=0.5, classes=(group,))
    message = make_summary(Header(frame_id="cam"), "left", load_label_set("camvid"), scene)
    assert (message.camera, message.label_set, message.image_width) == ("left", "camvid", 20)
    (summary,) = message.classes
    assert (summary.class_id, summary.class_name, summary.pixel_count) == (8, "car", 90)
    assert math.isnan(summary.mean_confidence)
    (one,) = summary.objects
    assert (one.box.x_offset, one.box.y_offset, one.box.width, one.box.height) == (3, 4, 10, 7)
    assert (one.centroid_x, one.pixel_count, one.touches_border) == (8.5, 70, True)
    assert (one.depth_m, one.position.x, one.position.z) == (2.5, 0.1, 2.5)


def test_stats_hold_each_counter_under_its_own_name():
    counts = LedgerCounts(
        received=21,
        labelled=1,
        dropped_replaced=2,
        dropped_stale=3,
        dropped_undecodable=4,
        dropped_refused=5,
        dropped_paused=6,
    )
    times = StreamTimes(
        rate_hz=15.0, latency_ms=(1.0, 2.0, 3.0), age_ms=NO_PERCENTILES, inference_ms=0.5
    )
    stats = make_stats(Header(), "left", counts, times, "openvino", "f32", (3, 12))
    for name, value in vars(counts).items():
        assert getattr(stats, name) == value
    assert stats.latency_ms.tolist() == [1.0, 2.0, 3.0]
    assert (stats.rate_hz, stats.inference_ms, stats.backend) == (15.0, 0.5, "openvino")
    assert (stats.tiles_run, stats.tiles_total) == (3, 12)
