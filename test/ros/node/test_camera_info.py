"""Calibration of the label image."""

import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from proxia_segmentation_ros.ros.node.camera_info import read_camera_matrix, scale_camera_info


def make_info(**changes) -> CameraInfo:
    info = CameraInfo(width=640, height=480, distortion_model="plumb_bob", **changes)
    info.d = [0.1, 0.2, 0.0, 0.0, 0.0]
    info.k = [500.0, 0.0, 320.0, 0.0, 400.0, 240.0, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [510.0, 0.0, 322.0, -51.0, 0.0, 410.0, 242.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def test_width_and_height_are_scaled_each_by_its_own_ratio():
    scaled = scale_camera_info(make_info(), Header(frame_id="cam"), (120, 320))
    assert (scaled.width, scaled.height, scaled.header.frame_id) == (320, 120, "cam")
    assert scaled.k.tolist() == [250.0, 0.0, 160.0, 0.0, 100.0, 60.0, 0.0, 0.0, 1.0]
    assert scaled.p.tolist()[:8] == [255.0, 0.0, 161.0, -25.5, 0.0, 102.5, 60.5, 0.0]
    assert scaled.p.tolist()[8:] == [0.0, 0.0, 1.0, 0.0]


def test_distortion_and_rectification_stay():
    info = make_info()
    scaled = scale_camera_info(info, Header(), (120, 320))
    assert (scaled.d, scaled.r.tolist()) == (info.d, info.r.tolist())
    assert scaled.distortion_model == "plumb_bob"


def test_same_size_changes_nothing_but_the_header():
    info = make_info(roi=RegionOfInterest())
    assert scale_camera_info(info, info.header, (480, 640)) == info


def test_region_of_interest_and_binning_are_what_the_image_shows():
    roi = RegionOfInterest(x_offset=100, y_offset=40, width=400, height=200, do_rectify=True)
    info = make_info(roi=roi, binning_x=2, binning_y=2)
    # The image is 200x100; its labels are half of that.
    scaled = scale_camera_info(info, Header(), (50, 100))
    assert (scaled.width, scaled.height) == (320, 240)
    assert scaled.roi == RegionOfInterest(
        x_offset=50, y_offset=20, width=200, height=100, do_rectify=True
    )
    assert (scaled.binning_x, scaled.binning_y) == (2, 2)
    assert read_camera_matrix(scaled) == pytest.approx((125.0, 100.0, 55.0, 50.0))


def test_uncalibrated_camera_gets_the_size_and_no_matrix():
    scaled = scale_camera_info(CameraInfo(), Header(), (120, 320))
    assert (scaled.width, scaled.height) == (320, 120)
    assert read_camera_matrix(scaled) is None


def test_matrix_of_the_label_image():
    scaled = scale_camera_info(make_info(), Header(), (120, 320))
    assert read_camera_matrix(scaled) == (250.0, 100.0, 160.0, 60.0)
