"""Results of a frame as messages."""

import math

import numpy as np
import pytest
from std_msgs.msg import Header

from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.objects.summary import Scene, SceneClass, SceneObject
from proxia_segmentation_ros.ros.node.camera_output import make_header, make_image, make_summary

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
    header = make_header((-3, 2**32 - 1), "câm/1 ")
    assert (header.stamp.sec, header.stamp.nanosec) == (-3, 2**32 - 1)
    assert header.frame_id == "câm/1 "


def test_summary_keeps_every_field_of_a_scene():
    thing = SceneObject(0, 70, (3, 4, 10, 7), (8.5, 7.0), 0.75, True, 2.5, (0.1, 0.2, 2.5))
    group = SceneClass(8, "car", 90, 0.25, NAN, (thing,))
    scene = Scene(width=20, height=18, unlabeled_fraction=0.5, classes=(group,))
    message = make_summary(Header(frame_id="cam"), "left", load_label_set("camvid"), scene)
    assert (message.camera, message.label_set, message.image_width) == ("left", "camvid", 20)
    (summary,) = message.classes
    assert (summary.class_id, summary.class_name, summary.pixel_count) == (8, "car", 90)
    assert math.isnan(summary.mean_confidence)
    (region,) = summary.objects
    box = region.box
    assert (box.x_offset, box.y_offset, box.width, box.height) == (3, 4, 10, 7)
    assert (region.centroid_x, region.pixel_count, region.touches_border) == (8.5, 70, True)
    assert (region.depth_m, region.position.x, region.position.z) == (2.5, 0.1, 2.5)
