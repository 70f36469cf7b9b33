"""What goes wrong half-way or beside the frames leaves a node that goes on."""

import itertools
import math
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from fake_segmenter import FakeSegmenter
from robot import make_header, make_image, make_scene
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Header

from proxia_segmentation_ros.msg import SceneSummary
from proxia_segmentation_ros.ros import shared_memory
from proxia_segmentation_ros.ros.node.camera_input import CameraInput
from proxia_segmentation_ros.ros.qos import watch_subscription

TWO_CAMERAS = {
    "autostart": False,
    "camera_names": "[left, right]",
    "cameras.left.image_topic": "/left/image",
    "cameras.right.image_topic": "/right/image",
}
CALIBRATED = {"cameras.camera.camera_info_topic": "/camera_info"}


# A picture that does not change is told as frozen.
SEEDS = itertools.count()


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
        return robot.wait_briefly(lambda: under_test.count("dropped_failed") > before)

    for sec in (2, 3):
        before = under_test.count("dropped_failed")
        robot.wait_for(lambda sec=sec, n=before: fails_again(sec, n), "the frame to fail")
    assert robot.wait_for_diagnostic("camera camera", "RuntimeError: no memory").level == b"\x01"
    under_test.segmenter.segment = segment
    robot.show(make_image(make_scene(), sec=9))
    lines = [line for line in capfd.readouterr().err.splitlines() if "no memory" in line]
    assert len(lines) == 1


class Models:
    """A factory of segmenters; it waits while `may_load` is cleared."""

    def __init__(self) -> None:
        self.made: list[FakeSegmenter] = []
        self.may_load = threading.Event()
        self.may_load.set()

    def __call__(self, _settings):
        assert self.may_load.wait(60)
        self.made.append(FakeSegmenter())
        return self.made[-1]


def show_and_count(robot, under_test, name: str) -> None:
    """Publish images until a frame more is counted under this name."""
    before = under_test.count(name)

    def is_counted() -> bool:
        robot.publish("/image", make_image(make_scene(), sec=5))
        return robot.wait_briefly(lambda: under_test.count(name) > before)

    robot.wait_for(is_counted, f"a frame more of {name}")


def count_open(under_test) -> int:
    counts = under_test.node.cameras[0].stream.ledger.counts()
    return counts.under_way


def test_model_that_fails_three_times_in_a_row_is_loaded_again(robot, start_node, monkeypatch):
    models = Models()
    under_test = start_node(factory=models)
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene(), sec=1))

    def fail(*args, **kwargs):
        raise RuntimeError("no memory")

    monkeypatch.setattr(models.made[0], "segment", fail)
    for _ in range(3):
        show_and_count(robot, under_test, "dropped_failed")
    robot.show(make_image(make_scene(), sec=9))
    assert len(models.made) == 2
    wanted = {("recovery", "well"), ("recovery_step", "loaded again")}

    def is_told() -> bool:
        values = robot.find_diagnostic("model").values
        return wanted <= {(entry.key, entry.value) for entry in values}

    robot.wait_for(is_told, "the recovery in the diagnostics")
    robot.wait_for(lambda: count_open(under_test) == 0, "an outcome of every frame")


def test_model_that_hangs_is_told_of_and_replaced_while_the_node_goes_on(robot, start_node):
    models = Models()
    under_test = start_node({"inference.frame_deadline_ms": 1000.0}, factory=models)
    robot.listen("/proxia/labels", Image)
    for sec in (1, 2, 3):
        robot.show(make_image(make_scene(), sec=sec))
    models.may_load.clear()
    models.made[0].gate.clear()
    show_and_count(robot, under_test, "dropped_failed")
    assert robot.wait_for_diagnostic("model", "the model has hung for").level == b"\x02"
    models.may_load.set()
    robot.show(make_image(make_scene(), sec=9))
    assert len(models.made) == 2
    models.made[0].gate.set()
    robot.show(make_image(make_scene(), sec=10))
    robot.wait_for(lambda: count_open(under_test) == 0, "an outcome of every frame")


def test_heartbeat_stops_and_an_error_is_told_while_images_come_without_labels(robot, start_node):
    models = Models()
    under_test = start_node({"inference.frame_deadline_ms": 0.0}, factory=models)
    robot.listen("/proxia/labels", Image)
    beats = robot.listen("/proxia/heartbeat", Header)
    robot.show(make_image(make_scene(), sec=1))
    robot.wait_for(lambda: any(beat.stamp.sec == 1 for beat in beats), "a beat of the frame")
    models.made[0].gate.clear()

    def is_told() -> bool:
        robot.publish("/image", make_image(make_scene(), sec=2))
        status = robot.find_diagnostic("camera camera")
        return status.level == b"\x02" and "though images arrive" in status.message

    robot.wait_for(is_told, "an error of the camera")
    before = len(beats)
    robot.publish("/image", make_image(make_scene(), sec=2))
    assert not robot.wait_briefly(lambda: len(beats) > before + 1)
    models.made[0].gate.set()
    robot.show(make_image(make_scene(), sec=3))
    robot.wait_for(lambda: any(beat.stamp.sec == 3 for beat in beats), "a beat of the new frame")

    def is_well_again() -> bool:
        robot.show(make_aged_image(under_test.node, 0.0))
        return robot.find_diagnostic("camera camera").level == b"\x00"

    robot.wait_for(is_well_again, "a camera without problems")
    assert under_test.count("dropped_failed") == 0


def test_camera_that_falls_silent_is_an_error(robot, start_node):
    start_node()
    robot.listen("/proxia/labels", Image)

    def has_level(level: bytes) -> bool:
        status = robot.find_diagnostic("camera camera")
        return status is not None and status.level == level

    robot.wait_for(lambda: has_level(b"\x01"), "a warning before the first image")
    robot.show(make_image(make_scene(), sec=1))
    robot.wait_for(lambda: has_level(b"\x02"), "an error after the last one")


def test_parameter_that_cannot_be_applied_is_refused_and_keeps_its_value(robot, start_node):
    under_test = start_node({"inference.frame_deadline_ms": 0.0})
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene(), sec=1))
    under_test.segmenter.entered.clear()
    under_test.segmenter.gate.clear()

    def is_busy() -> bool:
        robot.publish("/image", make_image(make_scene(), sec=2))
        return robot.wait_briefly(under_test.segmenter.entered.is_set)

    robot.wait_for(is_busy, "a frame in the model")
    answer = robot.set_named({"inference.max_rate_hz": 5.0})
    assert not answer.successful
    assert "a frame has been under way for" in answer.reason
    assert robot.get_parameter("inference.max_rate_hz") == 0.0
    under_test.segmenter.gate.set()
    robot.show(make_image(make_scene(), sec=3))
    assert robot.set_named({"inference.max_rate_hz": 5.0}).successful
    assert under_test.node.settings.inference.max_rate_hz == 5.0


def test_tiny_rate_is_refused_and_the_node_labels_on(robot, start_node):
    start_node()
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene(), sec=1))
    answer = robot.set_named({"inference.max_rate_hz": 1e-10})
    assert not answer.successful
    assert "0, or 0.001 and more" in answer.reason
    robot.show(make_image(make_scene(), sec=2))


def make_aged_image(node, age_s: float):
    """Return an image whose stamp is this much older than the node's clock."""
    image = make_image(make_scene(next(SEEDS)))
    stamp_ns = node.get_clock().now().nanoseconds - round(age_s * 1e9)
    image.header.stamp.sec, image.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    return image


@pytest.mark.parametrize(
    ("age_s", "level", "words"),
    [
        (2.0, b"\x01", "s old when it came"),
        (8.0, b"\x02", "s old when it came"),
        (-60.0, b"\x01", "ahead of the clock"),
    ],
)
def test_age_of_images_is_told_and_they_are_labelled(robot, start_node, age_s, level, words):
    under_test = start_node()
    robot.listen("/proxia/labels", Image)

    def is_told() -> bool:
        robot.show(make_aged_image(under_test.node, age_s))
        status = robot.find_diagnostic("camera camera")
        return status is not None and status.level == level and words in status.message

    robot.wait_for(is_told, "the age in the diagnostics")


def test_stale_images_are_dropped_counted_and_told(robot, start_node):
    under_test = start_node({"inference.max_input_age_ms": 2000.0})
    robot.listen("/proxia/labels", Image)
    robot.show(make_aged_image(under_test.node, 0.0))

    def is_dropped() -> bool:
        robot.publish("/image", make_aged_image(under_test.node, 3.0))
        return robot.wait_briefly(lambda: under_test.count("dropped_stale"))

    robot.wait_for(is_dropped, "a stale frame")
    robot.wait_for_diagnostic("camera camera", "expected at most 2000 ms")
    robot.show(make_aged_image(under_test.node, 0.0))


def test_clock_that_never_comes_is_told(robot, start_node):
    start_node({"use_sim_time": True})
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene(), sec=1))
    status = robot.wait_for_diagnostic("camera camera", "use_sim_time is set and no /clock came")
    assert status.level == b"\x01"


def test_missing_images_are_told_where_a_rate_is_expected(robot, start_node):
    under_test = start_node({"cameras.camera.expected_rate_hz": 50.0})
    robot.listen("/proxia/labels", Image)

    def is_told() -> bool:
        robot.show(make_aged_image(under_test.node, 0.0))
        time.sleep(0.2)
        status = robot.find_diagnostic("camera camera")
        return status is not None and "expected 50 (cameras.camera.expected" in status.message

    robot.wait_for(is_told, "too low a rate")
    assert robot.set_named({"cameras.camera.expected_rate_hz": 1.0}).successful

    def is_well() -> bool:
        robot.show(make_aged_image(under_test.node, 0.0))
        return robot.find_diagnostic("camera camera").message == "labelling"

    robot.wait_for(is_well, "a rate that suffices")


def test_lost_messages_are_told(robot, start_node):
    """No test can lose messages on purpose: the event is called as the middleware does."""
    under_test = start_node()
    robot.wait_for_state("active")
    told: list[str] = []
    events: Any = watch_subscription(under_test.node, "/image", told.append)
    events.message_lost(SimpleNamespace(total_count=17, total_count_change=3))
    assert told[0].startswith("3 messages of /image were lost on the way, 17 in all;")
    (subscription,) = (s for s in under_test.node.subscriptions if s.topic_name == "/image")
    kinds = {event.event_type.name for event in subscription.event_handlers}
    assert "RCL_SUBSCRIPTION_MESSAGE_LOST" in kinds


def test_shared_memory_that_does_not_suffice_is_told(robot, start_node, monkeypatch):
    monkeypatch.setattr(shared_memory, "find_problem", lambda: "/dev/shm holds 64 MiB")
    start_node()
    status = robot.wait_for_diagnostic("shared memory", "/dev/shm holds 64 MiB")
    assert status.level == b"\x01"
