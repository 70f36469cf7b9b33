"""The node's life and its topics, over DDS."""

import numpy as np
import pytest
from fake_segmenter import FakeSegmenter, expect_labels, refuse_weights
from robot import LATCHED, make_image, make_scene, read_pixels
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.msg import SceneSummary, StreamStats

COUNTERS = ("replaced", "stale", "undecodable", "refused", "paused")


def test_node_walks_to_active_by_itself_and_labels_what_the_image_shows(robot, start_node):
    start_node()
    robot.listen("/proxia/labels", Image)
    image_HWC = make_scene(3)
    labels = robot.show(make_image(image_HWC))
    assert (labels.encoding, labels.step, labels.width) == ("mono8", 128, 128)
    np.testing.assert_array_equal(read_pixels(labels), expect_labels(image_HWC))


def test_every_output_carries_the_input_header_bit_for_bit(robot, start_node):
    start_node()
    topics = {
        "labels": Image,
        "confidence": Image,
        "overlay": Image,
        "colored": Image,
        "objects": SceneSummary,
    }
    heard = {leaf: robot.listen(f"/proxia/{leaf}", kind) for leaf, kind in topics.items()}
    beats = robot.listen("/proxia/heartbeat", Header)
    sent = make_image(make_scene(), sec=-5, nanosec=4_294_967_295, frame="front/câm 1")

    def hears_all() -> bool:
        # Laziness looks at the subscribers of the moment, so the first frame may be too early.
        robot.show(sent)
        return all(heard.values())

    robot.wait_for(hears_all, "all outputs")
    for messages in heard.values():
        assert messages[0].header == sent.header
    robot.wait_for(lambda: beats and beats[-1] == sent.header, "the header as heartbeat")


def test_pictures_and_confidence_are_made_for_subscribers_only(robot, start_node):
    under_test = start_node()
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene(), sec=1))
    assert not any(call["with_confidence"] for call in under_test.segmenter.calls)
    confidences = robot.listen("/proxia/confidence", Image)
    seconds = iter(range(2, 2000))

    def is_confident() -> bool:
        robot.show(make_image(make_scene(), sec=next(seconds)))
        return bool(confidences)

    robot.wait_for(is_confident, "confidence")
    assert under_test.segmenter.calls[-1]["with_confidence"]
    assert (read_pixels(confidences[0]) == 200).all()


def test_label_info_names_every_id_and_is_latched(robot, start_node):
    start_node({"output.min_confidence": 0.25})
    robot.wait_for_state("active")
    infos = robot.listen("/proxia/label_info", LabelInfo, LATCHED)
    robot.wait_for(lambda: infos, "latched label info")
    named = [(named_class.class_id, named_class.class_name) for named_class in infos[0].class_map]
    assert named == list(enumerate(load_label_set("camvid").names))
    assert infos[0].threshold == pytest.approx(0.25)


def test_topics_exist_before_activation_and_label_info_comes_with_it(robot, start_node):
    start_node({"autostart": False})
    infos = robot.listen("/proxia/label_info", LabelInfo, LATCHED)
    assert robot.state() == "unconfigured"
    assert robot.configure()
    robot.wait_for(lambda: robot.node.count_publishers("/proxia/labels"), "labels to exist")
    assert robot.node.count_subscribers("/image") == 0
    assert not infos
    assert robot.activate()
    robot.wait_for(lambda: infos, "label info")


def test_deactivate_stops_the_cameras_and_keeps_the_model(robot, start_node):
    made = []

    def factory(settings):
        made.append(FakeSegmenter())
        return made[-1]

    start_node(factory=factory)
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene(), sec=1))
    assert robot.deactivate()
    robot.wait_for(lambda: robot.node.count_subscribers("/image") == 0, "no listener")
    assert not made[0].is_closed
    assert robot.activate()
    robot.show(make_image(make_scene(), sec=2))
    assert len(made) == 1


def test_cleanup_frees_the_model_and_removes_the_topics(robot, start_node):
    under_test = start_node()
    robot.wait_for_state("active")
    assert robot.deactivate()
    assert robot.clean_up()
    assert robot.state() == "unconfigured"
    assert under_test.segmenter.is_closed
    robot.wait_for(lambda: robot.node.count_publishers("/proxia/labels") == 0, "no labels topic")
    assert robot.configure()
    assert robot.activate()


def test_model_is_warm_before_the_node_is_active(robot, start_node):
    under_test = start_node({"autostart": False})
    assert robot.configure()
    assert under_test.segmenter.warmed


def test_failed_configure_says_why_and_the_next_one_may_succeed(robot, start_node):
    factories = iter([refuse_weights, lambda settings: FakeSegmenter()])

    def try_next(settings):
        return next(factories)(settings)

    start_node({"autostart": False}, factory=try_next)
    assert not robot.configure()
    assert robot.state() == "unconfigured"
    status = robot.wait_for_diagnostic("model", "weights 'default' do not exist")
    assert "expected a shipped name; check the path" in status.message
    assert robot.configure()
    robot.wait_for_diagnostic("model", "inactive")
    assert robot.activate()


def test_autostart_tries_once_and_leaves_the_node_alive(robot, start_node):
    tries = []

    def factory(settings):
        tries.append(settings)
        return refuse_weights(settings)

    start_node(factory=factory)
    robot.wait_for_diagnostic("model", "do not exist")
    assert robot.state() == "unconfigured"
    assert len(tries) == 1


def test_unforeseen_error_of_a_factory_fails_configure_and_nothing_else(robot, start_node):
    def factory(settings):
        raise RuntimeError("out of luck")

    start_node({"autostart": False}, factory=factory)
    assert not robot.configure()
    robot.wait_for_diagnostic("model", "RuntimeError: out of luck")
    assert robot.state() == "unconfigured"


def test_newest_frame_replaces_the_waiting_one_and_the_ledger_adds_up(robot, start_node):
    under_test = start_node()
    robot.listen("/proxia/labels", Image)
    stats = robot.listen("/proxia/stats", StreamStats)
    robot.show(make_image(make_scene(), sec=1))
    before = under_test.count("received")
    under_test.segmenter.gate.clear()
    under_test.segmenter.entered.clear()
    robot.publish("/image", make_image(make_scene(), sec=2))
    robot.wait_for(under_test.segmenter.entered.is_set, "a frame in the model")
    for number, sec in enumerate((3, 4, 5), start=2):
        robot.publish("/image", make_image(make_scene(), sec=sec))
        robot.wait_for(
            lambda number=number: under_test.count("received") == before + number,
            f"frame {sec} to be received",
        )
    under_test.segmenter.gate.set()
    robot.wait_for_stamp("/proxia/labels", 5)
    stamps = [message.header.stamp.sec for message in robot.heard["/proxia/labels"]]
    assert stamps[-2:] == [2, 5]
    newest = robot.wait_for(
        lambda: stats and stats[-1].labelled == before + 2 and stats[-1], "stats of all frames"
    )
    assert (newest.received, newest.dropped_replaced) == (before + 4, 2)
    dropped = sum(getattr(newest, f"dropped_{reason}") for reason in COUNTERS)
    assert newest.received == newest.labelled + dropped
    assert (newest.backend, newest.precision) == ("fake", "f32")


def test_counters_start_anew_with_each_activation(robot, start_node):
    start_node()
    stats = robot.listen("/proxia/stats", StreamStats)
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene()))
    robot.wait_for(lambda: stats and stats[-1].labelled, "a labelled frame in the stats")
    assert robot.deactivate()
    assert robot.activate()
    robot.wait_for(lambda: stats[-1].received == 0, "counters of the new activation")


def test_last_stats_of_an_activation_count_the_frame_that_still_waited(robot, start_node):
    under_test = start_node({"inference.max_rate_hz": 0.001})
    robot.listen("/proxia/labels", Image)
    stats = robot.listen("/proxia/stats", StreamStats)
    # One label image alone will come: it must not go out before its reader is known.
    knows = under_test.node.count_subscribers
    robot.wait_for(lambda: knows("/proxia/labels"), "the node to know who listens")
    robot.show(make_image(make_scene()))
    already = under_test.count("received")
    robot.publish("/image", make_image(make_scene(), sec=2))
    robot.wait_for(lambda: under_test.count("received") == already + 1, "a waiting frame")
    robot.wait_for(lambda: stats, "stats")
    assert robot.deactivate()
    robot.wait_for(lambda: stats[-1].dropped_paused == already, "the last stats")
    assert stats[-1].received == stats[-1].labelled + stats[-1].dropped_paused


def test_stamps_that_jump_back_are_labelled_all_the_same(robot, start_node):
    start_node()
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene(), sec=100))
    robot.show(make_image(make_scene(), sec=10))
    robot.wait_for_diagnostic("camera camera", "jumped back by 90.000 s")


def test_waiting_for_images_is_said_with_the_number_of_publishers(robot, start_node):
    start_node()
    robot.wait_for_diagnostic("camera camera", "waiting for images on /image (0 publishers)")


def test_topic_of_another_type_is_named_with_the_remedy(robot, start_node):
    start_node()
    robot.node.create_publisher(Header, "/image", 1)
    status = robot.wait_for_diagnostic("camera camera", "it carries std_msgs/msg/Header")
    assert "expected sensor_msgs/msg/Image; set cameras.camera.transport" in status.message
