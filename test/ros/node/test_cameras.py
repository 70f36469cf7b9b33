"""What belongs to a camera: transport, calibration, depth, several of them, QoS."""

import math
import threading

import cv2
import numpy as np
import pytest
from fake_segmenter import FakeSegmenter, expect_labels
from rcl_interfaces.msg import Log
from robot import (
    LATCHED,
    RELIABLE,
    make_compressed,
    make_header,
    make_image,
    make_scene,
    read_pixels,
)
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import LabelInfo

from proxia_segmentation_ros.msg import SceneSummary, StreamStats

TWO_CAMERAS = {
    "camera_names": "[left, right]",
    "cameras.left.image_topic": "/left/image",
    "cameras.right.image_topic": "/right/image",
}


def make_info(sec: int, frame: str = "cam", focal: float = 100.0) -> CameraInfo:
    info = CameraInfo(header=make_header(sec, frame=frame), width=128, height=96)
    info.k = [focal, 0.0, 64.0, 0.0, focal, 48.0, 0.0, 0.0, 1.0]
    info.p = [focal, 0.0, 64.0, 0.0, 0.0, focal, 48.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def test_one_camera_is_directly_under_the_node_and_several_under_their_names(robot, start_node):
    start_node(TWO_CAMERAS)
    for side in ("left", "right"):
        robot.listen(f"/proxia/{side}/labels", Image)
        infos = robot.listen(f"/proxia/{side}/label_info", LabelInfo, LATCHED)
        robot.wait_for(lambda infos=infos: infos, f"label info of {side}")
    for sec, side in enumerate(("left", "right"), start=1):
        image_HWC = make_scene(sec)
        labels = robot.show(
            make_image(image_HWC, sec=sec, frame=side), f"/{side}/image", f"/proxia/{side}/labels"
        )
        assert labels.header.frame_id == side
        np.testing.assert_array_equal(read_pixels(labels), expect_labels(image_HWC))
    assert robot.node.count_publishers("/proxia/labels") == 0


def test_silent_camera_does_not_hold_up_the_other(robot, start_node):
    start_node(TWO_CAMERAS)
    robot.listen("/proxia/right/labels", Image)
    for sec in (1, 2, 3):
        robot.show(make_image(make_scene(), sec=sec), "/right/image", "/proxia/right/labels")
    robot.wait_for_diagnostic("camera left", "waiting for images on /left/image")


def test_broken_camera_does_not_hold_up_the_other(robot, start_node):
    under_test = start_node(TWO_CAMERAS)
    for side in ("left", "right"):
        robot.listen(f"/proxia/{side}/labels", Image)
        robot.show(make_image(make_scene(), sec=1), f"/{side}/image", f"/proxia/{side}/labels")
    robot.publish("/left/image", make_image(make_scene(), sec=2, encoding="what"))
    robot.publish("/right/image", make_image(make_scene(), sec=2))
    robot.wait_for_stamp("/proxia/right/labels", 2)
    robot.wait_for_diagnostic("camera left", "image encoding 'what'")
    assert under_test.count("dropped_undecodable", 0) == 1
    assert under_test.count("dropped_undecodable", 1) == 0


@pytest.mark.parametrize("topic", ["/eye/image", "/eye/image/compressed"])
@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_compressed_transport_appends_its_suffix_once(robot, start_node, topic, extension):
    start_node({"cameras.camera.transport": "compressed", "cameras.camera.image_topic": topic})
    robot.listen("/proxia/labels", Image)
    image_HWC = make_scene(4)
    data = cv2.imencode(extension, cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR))[1].tobytes()
    image = make_compressed(data, sec=1, image_format=extension[1:])
    labels = robot.show(image, "/eye/image/compressed")
    assert labels.header == image.header
    # Bands are wider than a JPEG block's ringing: nearly all pixels keep their class.
    assert (read_pixels(labels) == expect_labels(image_HWC)).mean() > 0.9


def test_remapping_goes_before_the_suffix(robot, start_node):
    start_node({"cameras.camera.transport": "compressed"}, args=["-r", "image:=/front/image_raw"])
    name = "/front/image_raw/compressed"
    robot.wait_for(lambda: robot.node.count_subscribers(name), "a subscription of the new name")


def test_camera_info_is_scaled_to_the_label_image_and_carries_its_header(robot, start_node):
    start_node({"cameras.camera.camera_info_topic": "/camera_info", "output.size": "64x24"})
    robot.listen("/proxia/labels", Image)
    scaled = robot.listen("/proxia/camera_info", CameraInfo)
    robot.publish("/camera_info", make_info(sec=900, frame="cam"))

    def hears() -> bool:
        robot.publish("/camera_info", make_info(sec=900, frame="cam"))
        robot.show(make_image(make_scene(), sec=5, nanosec=123))
        return bool(scaled)

    robot.wait_for(hears, "camera info")
    assert scaled[0].header == make_header(5, 123)
    assert (scaled[0].width, scaled[0].height) == (64, 24)
    assert scaled[0].k.tolist() == [50.0, 0.0, 32.0, 0.0, 25.0, 12.0, 0.0, 0.0, 1.0]


def test_depth_of_the_same_stamp_gives_objects_their_distance(robot, start_node):
    start_node(
        {
            "cameras.camera.camera_info_topic": "/camera_info",
            "cameras.camera.depth_topic": "/depth",
        }
    )
    robot.listen("/proxia/labels", Image)
    scenes = robot.listen("/proxia/objects", SceneSummary)
    depth_HW = np.full((96, 128), 2500, np.uint16)

    def is_near() -> bool:
        robot.publish("/camera_info", make_info(sec=3))
        robot.publish("/depth", make_image(depth_HW, sec=3, encoding="16UC1"))
        robot.show(make_image(make_scene(), sec=3))
        # Depth and calibration come each in their own time.
        return bool(scenes) and not math.isnan(scenes[-1].classes[0].objects[0].position.z)

    robot.wait_for(is_near, "an object with depth and position")
    nearest = scenes[-1].classes[0].objects[0]
    assert nearest.depth_m == pytest.approx(2.5)
    assert nearest.position.z == pytest.approx(2.5)


@pytest.mark.parametrize("nanosec", [1_007, 40_000_007])
def test_depth_whose_stamp_is_near_is_used(robot, start_node, nanosec):
    start_node({"cameras.camera.depth_topic": "/depth"})
    robot.listen("/proxia/labels", Image)
    scenes = robot.listen("/proxia/objects", SceneSummary)
    depth_HW = np.full((96, 128), 2500, np.uint16)

    def is_near() -> bool:
        robot.publish("/depth", make_image(depth_HW, sec=3, nanosec=nanosec, encoding="16UC1"))
        robot.show(make_image(make_scene(), sec=3))
        return any(
            class_summary.objects[0].depth_m == pytest.approx(2.5)
            for scene in scenes
            for class_summary in scene.classes
        )

    robot.wait_for(is_near, "an object with depth")


def test_depth_of_another_stamp_is_not_used_and_the_difference_is_told(robot, start_node):
    start_node({"cameras.camera.depth_topic": "/depth"})
    robot.listen("/proxia/labels", Image)
    scenes = robot.listen("/proxia/objects", SceneSummary)
    depth = make_image(np.full((96, 128), 2500, np.uint16), sec=4, encoding="16UC1")
    robot.publish("/depth", depth)

    def is_told() -> bool:
        robot.publish("/depth", depth)
        robot.show(make_image(make_scene(), sec=3))
        status = robot.find_diagnostic("camera camera")
        return (
            status is not None
            and status.level == b"\x01"
            and "the nearest depth image is 1000.000 ms after the image" in status.message
        )

    robot.wait_for(is_told, "the difference of the stamps")
    assert math.isnan(scenes[-1].classes[0].objects[0].depth_m)


@pytest.mark.parametrize("frame", ["", "cam"])
def test_calibration_without_stamp_or_frame_is_used(robot, start_node, frame):
    start_node({"cameras.camera.camera_info_topic": "/camera_info"})
    robot.listen("/proxia/labels", Image)
    scaled = robot.listen("/proxia/camera_info", CameraInfo)

    def hears() -> bool:
        robot.publish("/camera_info", make_info(sec=0, frame=frame))
        robot.show(make_image(make_scene(), sec=5))
        return bool(scaled)

    robot.wait_for(hears, "camera info")
    assert scaled[0].header == make_header(5)


def test_calibration_of_another_camera_is_refused_by_name(robot, start_node):
    start_node({"cameras.camera.camera_info_topic": "/camera_info"})
    robot.listen("/proxia/labels", Image)

    def is_told() -> bool:
        robot.publish("/camera_info", make_info(sec=5, frame="other"))
        robot.show(make_image(make_scene(), sec=5))
        status = robot.find_diagnostic("camera camera")
        return status is not None and "calibration is of frame_id 'other'" in status.message

    robot.wait_for(is_told, "the frame_id of the calibration")


def test_depth_and_calibration_that_never_come_are_told(robot, start_node):
    topics = {"depth_topic": "/depth", "camera_info_topic": "/camera_info"}
    start_node({f"cameras.camera.{leaf}": topic for leaf, topic in topics.items()})
    robot.listen("/proxia/labels", Image)
    robot.listen("/proxia/objects", SceneSummary)
    log = robot.listen("/rosout", Log)
    for words in ("no depth image has come on /depth", "no calibration has come on /camera_info"):

        def is_told(words=words) -> bool:
            robot.show(make_image(make_scene(), sec=3))
            return any(words in line.msg for line in log)

        robot.wait_for(is_told, words)


def test_undecodable_depth_costs_the_depth_and_not_the_objects(robot, start_node):
    start_node({"cameras.camera.depth_topic": "/depth"})
    robot.listen("/proxia/labels", Image)
    scenes = robot.listen("/proxia/objects", SceneSummary)
    depth = make_image(np.zeros((96, 128, 3), np.uint8), sec=3, encoding="rgb8")

    def is_told() -> bool:
        robot.publish("/depth", depth)
        robot.show(make_image(make_scene(), sec=3))
        status = robot.find_diagnostic("camera camera")
        return status is not None and "depth: image encoding 'rgb8'" in status.message

    robot.wait_for(is_told, "a warning about depth")
    robot.wait_for(lambda: scenes, "a summary")


def test_objects_are_summed_up_with_the_labels_they_came_from(robot, start_node):
    start_node()
    robot.listen("/proxia/labels", Image)
    scenes = robot.listen("/proxia/objects", SceneSummary)
    image_HWC = make_scene(2)

    def hears() -> bool:
        robot.show(make_image(image_HWC, sec=1))
        return bool(scenes)

    robot.wait_for(hears, "a summary")
    scene = scenes[-1]
    assert (scene.camera, scene.label_set) == ("camera", "camvid")
    assert (scene.image_width, scene.image_height) == (128, 96)
    counts = {class_summary.class_id: class_summary.pixel_count for class_summary in scene.classes}
    ids, pixels = np.unique(expect_labels(image_HWC), return_counts=True)
    assert counts == dict(zip(ids.tolist(), pixels.tolist(), strict=True))
    assert all(class_summary.objects for class_summary in scene.classes)


def test_objects_off_leaves_the_classes(robot, start_node):
    start_node({"objects.enabled": False})
    robot.listen("/proxia/labels", Image)
    scenes = robot.listen("/proxia/objects", SceneSummary)

    def hears() -> bool:
        robot.show(make_image(make_scene(), sec=1))
        return bool(scenes)

    robot.wait_for(hears, "a summary")
    assert scenes[-1].classes
    assert not any(class_summary.objects for class_summary in scenes[-1].classes)


def test_stats_name_the_camera_and_its_times(robot, start_node):
    start_node()
    robot.listen("/proxia/labels", Image)
    stats = robot.listen("/proxia/stats", StreamStats, RELIABLE)

    def is_measured() -> bool:
        robot.show(make_image(make_scene()))
        return bool(stats) and stats[-1].rate_hz > 0

    robot.wait_for(is_measured, "stats with a rate")
    assert stats[-1].camera == "camera"
    assert not any(math.isnan(latency) for latency in stats[-1].latency_ms)
    assert stats[-1].header.frame_id == "cam"


def hold_model_with(under_test, robot, topic: str) -> None:
    """Send frames until one of them is in the model and stays there."""
    under_test.segmenter.gate.clear()
    under_test.segmenter.entered.clear()

    def is_held() -> bool:
        robot.publish(topic, make_image(make_scene(), sec=50))
        return robot.wait_briefly(under_test.segmenter.entered.is_set)

    robot.wait_for(is_held, "a frame in the model")


def test_frames_of_two_cameras_that_are_ready_together_share_a_call(robot, start_node):
    under_test = start_node(TWO_CAMERAS)
    scenes = {"left": make_scene(3), "right": make_scene(5, (120, 200))}
    for side, image_HWC in scenes.items():
        robot.listen(f"/proxia/{side}/labels", Image)
        robot.show(make_image(image_HWC), f"/{side}/image", f"/proxia/{side}/labels")
    assert under_test.segmenter.largest_batch == 2
    hold_model_with(under_test, robot, "/left/image")
    before = [under_test.count("received", camera) for camera in (0, 1)]
    for side, image_HWC in scenes.items():
        robot.publish(f"/{side}/image", make_image(image_HWC, sec=60))
    robot.wait_for(
        lambda: all(under_test.count("received", i) > before[i] for i in (0, 1)), "both frames"
    )
    under_test.segmenter.gate.set()
    for side, image_HWC in scenes.items():
        labels = robot.wait_for_stamp(f"/proxia/{side}/labels", 60)
        np.testing.assert_array_equal(read_pixels(labels), expect_labels(image_HWC))
    assert under_test.segmenter.batches[-1] == 2
    assert sorted(under_test.segmenter.streams[-1]) == ["left", "right"]


class StuckSegmenter(FakeSegmenter):
    """Takes two calls at a time; those on high images are held up."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.lanes = 2
        self.holds, self.lets_go = threading.Event(), threading.Event()

    def segment(self, image_HWC, *arguments, **options):
        if image_HWC.shape[0] > 100:
            self.holds.set()
            if not self.lets_go.wait(30):
                raise TimeoutError("the test did not let go")
        return super().segment(image_HWC, *arguments, **options)

    def warm_up(self, size_hw, batch=1):
        self.warmed.append(size_hw)


def test_frame_that_takes_long_delays_no_other_camera(robot, start_node):
    segmenter = StuckSegmenter()
    under_test = start_node(TWO_CAMERAS, factory=lambda settings: segmenter)
    for side in ("left", "right"):
        robot.listen(f"/proxia/{side}/labels", Image)
        robot.show(make_image(make_scene()), f"/{side}/image", f"/proxia/{side}/labels")

    def is_held() -> bool:
        robot.publish("/left/image", make_image(make_scene(5, (120, 200)), sec=70))
        return robot.wait_briefly(segmenter.holds.is_set)

    robot.wait_for(is_held, "a frame that is held up")
    for sec in range(71, 76):
        robot.publish("/right/image", make_image(make_scene(), sec=sec))
        robot.wait_for_stamp("/proxia/right/labels", sec)
    segmenter.lets_go.set()
    labels = robot.wait_for_stamp("/proxia/left/labels", 70)
    np.testing.assert_array_equal(read_pixels(labels), expect_labels(make_scene(5, (120, 200))))
    assert under_test.count("dropped_refused") == 0


def test_camera_that_is_killed_loses_no_frame_of_the_other(robot, start_node):
    under_test = start_node(TWO_CAMERAS)
    for side in ("left", "right"):
        robot.listen(f"/proxia/{side}/labels", Image)
        robot.show(make_image(make_scene()), f"/{side}/image", f"/proxia/{side}/labels")
    dropped = under_test.count("dropped", 1)
    for sec in range(101, 111):
        if sec < 104:
            robot.publish("/left/image", make_image(make_scene(), sec=sec))
        if sec == 104:
            robot.hang_up("/left/image")
        robot.publish("/right/image", make_image(make_scene(), sec=sec))
        robot.wait_for_stamp("/proxia/right/labels", sec)
    robot.wait_for_diagnostic("camera left", "waiting for images on /left/image (0 publishers)")
    assert under_test.count("dropped", 1) == dropped


def test_times_of_each_stage_and_what_ran_are_in_the_diagnostics(robot, start_node):
    start_node()
    robot.listen("/proxia/labels", Image)
    stats = robot.listen("/proxia/stats", StreamStats, RELIABLE)

    def find():
        robot.show(make_image(make_scene()))
        status = robot.find_diagnostic("camera camera")
        values = {} if status is None else {entry.key: entry.value for entry in status.values}
        return values if values.get("stage_infer_ms") == "20.00" and stats else None

    values = robot.wait_for(find, "stage times")
    stages = ("receive", "decode", "pre", "infer", "post", "publish")
    assert all(float(values[f"stage_{name}_ms"]) >= 0 for name in stages)
    # Nobody has asked for a summary so far.
    assert values["stage_objects_ms"] == "nan"
    robot.listen("/proxia/objects", SceneSummary)
    robot.wait_for(lambda: float((find() or values)["stage_objects_ms"]) >= 0, "a summary's time")
    assert (values["tiles"], values["scales"]) == ("3/8", "0.5 1")
    robot.wait_for(lambda: stats[-1].tiles_total == 8, "stats with tiles")
    assert stats[-1].tiles_run == 3
