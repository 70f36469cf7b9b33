"""No input of the node is its own output, and no two cameras have one topic, whatever its name."""

from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.lifecycle import LifecycleNode
from robot import make_image, make_scene
from sensor_msgs.msg import Image

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.pipeline.sink import SharedSettings
from proxia_segmentation_ros.ros.node.camera_output import CameraOutput
from proxia_segmentation_ros.ros.node.topics import OUTPUT_NAMES, check_topics

TWO = {"camera_names": ["left", "right"]}


@pytest.fixture
def node(request: pytest.FixtureRequest) -> Iterator[LifecycleNode]:
    """A node called proxia in the namespace /robot, with the remappings of the test."""
    remappings = getattr(request, "param", [])
    context = rclpy.Context()
    rclpy.init(context=context)
    made = LifecycleNode("proxia", namespace="robot", context=context, cli_args=remappings)
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


def make_settings(values: dict[str, Any]) -> NodeSettings:
    return NodeSettings.from_flat(values)


def test_every_output_is_listed(node: LifecycleNode) -> None:
    before = {publisher.topic_name for publisher in node.publishers}
    shared = SharedSettings(make_settings({}))
    output = CameraOutput(node, "camera", "~/", shared, load_label_set("camvid"), print)
    made = {publisher.topic_name for publisher in node.publishers} - before
    output.destroy()
    assert made == {f"/robot/proxia/{name}" for name in OUTPUT_NAMES}


@pytest.mark.parametrize(
    "values",
    [
        {"cameras.camera.image_topic": "~/labels"},
        {"cameras.camera.image_topic": "/robot/proxia/overlay"},
        {"cameras.camera.image_topic": "proxia/colored"},
        {"cameras.camera.image_topic": "~/overlay", "cameras.camera.transport": "compressed"},
        {
            "cameras.camera.image_topic": "~/overlay/compressed",
            "cameras.camera.transport": "compressed",
        },
        {"cameras.camera.camera_info_topic": "~/camera_info"},
        {"cameras.camera.depth_topic": "~/confidence"},
        {**TWO, "cameras.left.image_topic": "~/right/overlay", "cameras.right.image_topic": "/r"},
    ],
)
def test_own_output_is_refused_as_input(node: LifecycleNode, values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        check_topics(node, make_settings(values))
    name = next(key for key in values if "_topic" in key)
    assert str(caught.value).startswith(f"{name} is {values[name]!r}, which is /robot/proxia/")
    assert "this node publishes it itself; expected a topic of the camera" in str(caught.value)


@pytest.mark.parametrize(
    "node", [["--ros-args", "-r", "~/labels:=/front", "-r", "image:=/front"]], indirect=True
)
def test_output_that_is_remapped_to_the_input_is_refused(node: LifecycleNode) -> None:
    with pytest.raises(ConfigError, match="is 'image', which is /front: this node publishes it"):
        check_topics(node, make_settings({}))


@pytest.mark.parametrize(
    ("left", "right", "topic"),
    [
        ("image", "image", "/robot/image"),
        ("image", "/robot/image", "/robot/image"),
        ("~/image", "proxia/image", "/robot/proxia/image"),
        ("/front", "front", "/front"),
    ],
)
@pytest.mark.parametrize("node", [["--ros-args", "-r", "front:=/front"]], indirect=True)
def test_one_topic_of_two_names_is_refused(
    node: LifecycleNode, left: str, right: str, topic: str
) -> None:
    values = {**TWO, "cameras.left.image_topic": left, "cameras.right.image_topic": right}
    with pytest.raises(ConfigError) as caught:
        check_topics(node, make_settings(values))
    named = f"cameras.left.image_topic ({left!r}) and cameras.right.image_topic ({right!r})"
    assert f"{named} are both {topic}; expected a topic for each camera" in str(caught.value)


def test_one_base_name_of_two_transports_is_two_topics(node: LifecycleNode) -> None:
    values = {**TWO, "cameras.left.image_topic": "/eye", "cameras.right.image_topic": "/eye"}
    check_topics(node, make_settings({**values, "cameras.left.transport": "compressed"}))
    both = {"cameras.left.transport": "compressed", "cameras.right.image_topic": "/eye/compressed"}
    with pytest.raises(ConfigError, match="are both /eye/compressed"):
        check_topics(node, make_settings({**values, **both}))


def test_names_that_only_look_like_outputs_are_fine(node: LifecycleNode) -> None:
    for name in ("/proxia/labels", "~/left/labels", "~/labels_raw", "labels"):
        check_topics(node, make_settings({"cameras.camera.image_topic": name}))


def test_loop_is_refused_at_configure_and_on_change(robot, start_node):
    start_node({"cameras.camera.image_topic": "~/labels", "autostart": False})
    sentence = "which is /proxia/labels: this node publishes it itself"
    assert not robot.configure()
    robot.wait_for_diagnostic("model", sentence)
    for name in ("image_topic", "depth_topic", "camera_info_topic"):
        refusal = robot.set_named({f"cameras.camera.{name}": "/proxia/labels"})
        assert not refusal.successful
        assert sentence in refusal.reason
    assert robot.set_named({"output.size": "64x48"}).successful
    assert robot.set_named({"cameras.camera.image_topic": "image"}).successful
    assert robot.configure()
    assert robot.activate()
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene(), sec=1))


def test_image_and_its_full_name_are_one_topic(robot, start_node):
    names = {"cameras.a.image_topic": "image", "cameras.b.image_topic": "/image"}
    start_node({"camera_names": "[a, b]", **names, "autostart": False})
    assert not robot.configure()
    robot.wait_for_diagnostic("model", "are both /image; expected a topic for each camera alone")
