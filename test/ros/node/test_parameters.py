"""Parameters: from files and the command line, and live, over DDS."""

import pytest
from robot import LATCHED, make_image, make_scene
from sensor_msgs.msg import Image
from vision_msgs.msg import LabelInfo

from proxia_segmentation_ros.config import list_parameters


def test_every_setting_is_a_parameter_with_its_default_and_description(start_node):
    node = start_node({"autostart": False, "camera_names": "[left, right]"}).node
    for row in list_parameters(["left", "right"]):
        descriptor = node.describe_parameter(row.name)
        assert descriptor.description == row.description
        if row.name not in {"autostart", "camera_names"}:
            assert node.get_parameter(row.name).value == row.default
        ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
        expected = [] if row.maximum is None else [(row.minimum, row.maximum)]
        assert [(bounds.from_value, bounds.to_value) for bounds in ranges] == expected


def test_live_change_takes_effect_on_the_next_frame(robot, start_node):
    under_test = start_node()
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene(), sec=1))
    assert robot.set_named({"output.size": "64x48", "output.min_confidence": 0.5}).successful
    labels = robot.show(make_image(make_scene(), sec=2))
    assert (labels.width, labels.height, labels.step) == (64, 48, 64)
    assert under_test.segmenter.calls[-1]["min_confidence"] == 0.5


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"overlay.alpha": 1.5}, "overlay.alpha is 1.5; expected less than or equal to 1"),
        ({"output.size": "64"}, "output.size is '64'; expected input, network or WxH"),
        ({"objects.min_area_px": "many"}, "objects.min_area_px is 'many'; expected a valid int"),
        ({"overlay.alpha": 0.2, "overlay.max_width": 1}, "overlay.max_width is 1; expected"),
        ({"model.weights": "synthetic"}, "while the node is configured; expected"),
        ({"inference.threads": 2}, "deactivate and clean up the node, set it, then configure"),
        ({"autostart": False}, "expected a value from the parameter file or the command line"),
        ({"overlay.alhpa": 0.2}, "parameter 'overlay.alhpa' is unknown"),
    ],
)
def test_rejected_change_names_the_rule_and_leaves_all_as_it_was(
    robot, start_node, changes, sentence
):
    under_test = start_node()
    robot.wait_for_state("active")
    before = under_test.node.settings
    result = robot.set_named(changes)
    assert not result.successful
    assert sentence in result.reason
    assert robot.get_parameter("overlay.alpha") == 0.5
    assert under_test.node.settings == before


def test_whole_number_is_taken_where_a_decimal_is_declared(robot, start_node):
    under_test = start_node({"overlay.alpha": 1, "inference.scales": "[1]"})
    robot.wait_for_state("active")
    assert under_test.node.settings.overlay.alpha == 1.0
    assert under_test.node.settings.inference.scales == [1.0]
    assert robot.set_named({"overlay.alpha": 0}).successful
    robot.wait_for(lambda: under_test.node.settings.overlay.alpha == 0.0, "the change to be used")


def test_parameter_file_is_read_and_its_empty_list_means_none(robot, start_node, tmp_path):
    path = tmp_path / "parameters.yaml"
    path.write_text(
        "proxia: {ros__parameters: {overlay.alpha: 1, inference: {scales: [], threads: 3},"
        " cameras.camera.depth_topic: ''}}"
    )
    under_test = start_node(args=["--params-file", str(path)])
    robot.wait_for_state("active")
    settings = under_test.node.settings
    assert (settings.overlay.alpha, settings.inference.threads) == (1.0, 3)
    assert settings.inference.scales == []


def test_configure_parameter_may_change_while_unconfigured(robot, start_node):
    seen = []

    def factory(settings):
        seen.append(settings.model.weights)
        return under_test.segmenter

    under_test = start_node({"autostart": False}, factory=factory)
    assert robot.set_named({"model.weights": "synthetic"}).successful
    assert robot.configure()
    assert seen == ["synthetic"]
    assert robot.set_named({"model.weights": "synthetic"}).successful


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"modle.weights": "x"}, "parameter 'modle.weights' is unknown; expected one of"),
        ({"inference.backend": "cuda"}, "inference.backend is 'cuda'; expected 'auto', 'openvino'"),
        ({"inference.threads": "four"}, "inference.threads is 'four'; expected a valid integer"),
        ({"cameras.left.image_topic": "/a"}, "add 'left' to camera_names"),
        ({"cameras.camera.image_topic": "not a topic"}, "image_topic is 'not a topic'"),
        ({"camera_names": "[a, b]"}, "a topic for each camera alone"),
        ({"camera_names": "[a-b]"}, "camera_names holds 'a-b'"),
        ({"inference.max_rate_hz": -1.0}, "greater than or equal to 0"),
    ],
)
def test_bad_parameter_fails_configure_with_its_sentence_and_not_the_node(
    robot, start_node, parameters, sentence
):
    start_node({**parameters, "autostart": False})
    assert not robot.configure()
    robot.wait_for_diagnostic("model", sentence)
    assert robot.state() == "unconfigured"


def test_bad_value_of_a_file_can_be_set_right_without_a_restart(robot, start_node):
    start_node({"inference.backend": "cuda", "autostart": False})
    assert not robot.configure()
    assert robot.set_named({"inference.backend": "torch"}).successful
    assert robot.configure()


def test_unknown_name_of_a_file_can_be_deleted_without_a_restart(robot, start_node):
    start_node({"modle.weights": "x", "autostart": False})
    assert not robot.configure()
    assert robot.set_named({"modle.weights": None}).successful
    assert robot.configure()


def test_declared_parameter_cannot_be_deleted(robot, start_node):
    start_node()
    refusal = robot.set_named({"inference.scales": None})
    assert not refusal.successful
    assert "set it to its default" in refusal.reason
    assert robot.set_named({"overlay.alpha": 0.25}).successful


def test_parameters_of_other_owners_are_no_mistake(robot, start_node):
    start_node(
        {
            "autostart": False,
            "use_sim_time": True,
            "qos_overrides./image.subscription.reliability": "reliable",
        }
    )
    assert robot.configure()


def test_qos_override_of_a_topic_that_is_not_ours_is_told(robot, start_node, capfd):
    start_node({"qos_overrides./imgae.subscription.reliability": "reliable"})
    robot.wait_for_state("active")
    told = "qos_overrides./imgae.subscription.reliability is for a topic that this node does not"
    assert told in capfd.readouterr().err


def test_label_info_goes_out_again_when_the_threshold_changes(robot, start_node):
    start_node()
    infos = robot.listen("/proxia/label_info", LabelInfo, LATCHED)
    robot.wait_for(lambda: infos, "label info")
    assert robot.set_named({"output.min_confidence": 0.75}).successful
    robot.wait_for(lambda: infos[-1].threshold == 0.75, "label info with the new threshold")
    assert robot.set_named({"overlay.alpha": 0.25}).successful
    assert len(infos) == 2


def test_rate_limit_holds_frames_back_and_counts_them_as_paused(robot, start_node):
    under_test = start_node({"inference.max_rate_hz": 0.001})
    robot.listen("/proxia/labels", Image)
    # One label image alone will come: it must not go out before its reader is known.
    knows = under_test.node.count_subscribers
    robot.wait_for(lambda: knows("/proxia/labels"), "the node to know who listens")
    robot.show(make_image(make_scene(), sec=1))
    already = under_test.count("received")
    for number in range(1, 4):
        robot.publish("/image", make_image(make_scene(), sec=10 + number))
        robot.wait_for(
            lambda number=number: under_test.count("received") == already + number,
            "the frame to be received",
        )
    assert under_test.count("labelled") == 1
    assert under_test.count("dropped_paused") == already + 1
    assert robot.set_named({"inference.max_rate_hz": 0.0}).successful
    robot.wait_for_stamp("/proxia/labels", 13)
    counts = under_test.node.cameras[0].stream.ledger.counts()
    assert counts.under_way == 0
