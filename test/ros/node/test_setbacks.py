"""What goes wrong half-way or beside the frames leaves a node that goes on."""

import math

import pytest
from robot import make_header, make_image, make_scene
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest

from proxia_segmentation_ros.msg import SceneSummary
from proxia_segmentation_ros.ros.node.camera_input import CameraInput

TWO_CAMERAS = {
    "autostart": False,
    "camera_names": "[left, right]",
    "cameras.left.image_topic": "/left/image",
    "cameras.right.image_topic": "/right/image",
}
CALIBRATED = {"cameras.camera.camera_info_topic": "/camera_info"}


def list_endpoints(node) -> tuple[list[str], list[str]]:
    return (
        sorted(endpoint.topic_name for endpoint in node.publishers),
        sorted(endpoint.topic_name for endpoint in node.subscriptions),
    )


def test_activate_that_fails_half_way_is_undone_and_the_next_one_succeeds(
    robot, start_node, monkeypatch
):
    node = start_node(TWO_CAMERAS).node
    assert robot.configure()
    before = list_endpoints(node)
    subscribe = CameraInput._subscribe

    def fail_at_right(self, message_type, name, *args, **kwargs):
        if name == "/right/image":
            raise RuntimeError("no more memory")
        subscribe(self, message_type, name, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(CameraInput, "_subscribe", fail_at_right)
        assert not robot.activate()
    robot.wait_for_diagnostic("model", "RuntimeError: no more memory")
    assert robot.state() == "inactive"
    assert list_endpoints(node) == before
    assert robot.activate()
    for side in ("left", "right"):
        robot.listen(f"/proxia/{side}/labels", Image)
        robot.show(make_image(make_scene()), f"/{side}/image", f"/proxia/{side}/labels")


def test_repeated_failures_to_activate_leave_no_topic_behind(robot, start_node, monkeypatch):
    node = start_node({"autostart": False}).node
    assert robot.configure()
    before = list_endpoints(node)

    def fail(*args, **kwargs):
        raise RuntimeError("no more memory")

    monkeypatch.setattr(CameraInput, "_subscribe", fail)
    for _ in range(3):
        assert not robot.activate()
    assert robot.state() == "inactive"
    assert list_endpoints(node) == before


def make_calibration(**changes) -> CameraInfo:
    info = CameraInfo(header=make_header(1), width=128, height=96)
    info.k = [100.0, 0.0, 64.0, 0.0, 100.0, 48.0, 0.0, 0.0, 1.0]
    for name, value in changes.items():
        setattr(info, name, value)
    return info


BAD_CALIBRATIONS = {
    "not a number": {"k": [math.nan] * 9, "p": [math.nan] * 12},
    "infinite": {"k": [math.inf] * 9, "p": [-math.inf] * 12},
    "no size": {"width": 0, "height": 0},
    "all zero": {"width": 0, "height": 0, "k": [0.0] * 9},
    "huge offset": {"roi": RegionOfInterest(x_offset=2**32 - 1, y_offset=2**32 - 1, width=1)},
    "binned away": {"binning_x": 2**32 - 1, "binning_y": 2**32 - 1},
}


@pytest.mark.parametrize("changes", BAD_CALIBRATIONS.values(), ids=BAD_CALIBRATIONS)
def test_bad_calibration_costs_neither_labels_nor_objects(robot, start_node, changes):
    under_test = start_node(CALIBRATED)
    robot.listen("/proxia/labels", Image)
    robot.wait_for_state("active")
    camera = under_test.node.cameras[0]

    def is_stored() -> bool:
        robot.publish("/camera_info", make_calibration(**changes))
        return robot.wait_briefly(lambda: camera._input.infos.newest() is not None)

    robot.wait_for(is_stored, "the calibration")
    scenes = robot.listen("/proxia/objects", SceneSummary)

    def is_summed_up() -> bool:
        robot.show(make_image(make_scene(), sec=2))
        return any(scene.classes and scene.classes[0].objects for scene in scenes)

    robot.wait_for(is_summed_up, "objects")
    counts = camera.stream.ledger.counts()
    assert (counts.dropped_refused, counts.dropped_undecodable) == (0, 0)


def test_failing_model_is_told_once_and_the_next_frame_is_labelled(
    robot, start_node, capfd, monkeypatch
):
    monkeypatch.setattr("proxia_segmentation_ros.ros.node.throttled_log.LOG_PERIOD_S", 3600.0)
    under_test = start_node()
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene(), sec=1))
    segment = under_test.segmenter.segment
    capfd.readouterr()

    def fail(*args, **kwargs):
        raise RuntimeError("no memory")

    under_test.segmenter.segment = fail

    def fails_again(sec: int, before: int) -> bool:
        robot.publish("/image", make_image(make_scene(), sec=sec))
        return robot.wait_briefly(lambda: under_test.count("dropped_refused") > before)

    for sec in (2, 3, 4):
        before = under_test.count("dropped_refused")
        robot.wait_for(lambda sec=sec, n=before: fails_again(sec, n), "the frame to fail")
    assert robot.wait_for_diagnostic("camera camera", "RuntimeError: no memory").level == b"\x01"
    under_test.segmenter.segment = segment
    robot.show(make_image(make_scene(), sec=9))
    lines = [line for line in capfd.readouterr().err.splitlines() if "no memory" in line]
    assert len(lines) == 1
