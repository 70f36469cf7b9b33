"""Quality of service over DDS: overrides, and offers and requests that do not fit."""

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from robot import make_image, make_scene
from sensor_msgs.msg import Image


def test_qos_override_reaches_the_subscription_and_the_publisher(robot, start_node):
    start_node(
        {
            "qos_overrides./image.subscription.reliability": "reliable",
            "qos_overrides./proxia/labels.publisher.reliability": "best_effort",
            "qos_overrides./proxia/labels.publisher.depth": 7,
        }
    )
    node = robot.node
    (listener,) = robot.wait_for(
        lambda: node.get_subscriptions_info_by_topic("/image"), "the listener"
    )
    (speaker,) = robot.wait_for(
        lambda: node.get_publishers_info_by_topic("/proxia/labels"), "the speaker"
    )
    assert listener.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert speaker.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("/image.subscription.reliability", "reliabel", "reliable or best_effort"),
        ("/image.subscription.depth", -1, "a whole number from 0"),
        ("/image.subscription.depth", "many", "a whole number from 0"),
        ("/proxia/labels.publisher.history", "keep", "keep_last or keep_all"),
    ],
)
def test_bad_qos_override_is_one_sentence(robot, start_node, name, value, rule):
    start_node({f"qos_overrides.{name}": value})
    status = robot.wait_for_diagnostic("model", f"qos_overrides.{name} is {value!r}")
    assert rule in status.message


def test_offer_that_does_not_fit_is_told_in_words(robot, start_node):
    start_node({"qos_overrides./image.subscription.reliability": "reliable"})
    robot.wait_for(lambda: robot.node.count_subscribers("/image"), "a listener")
    robot.node.create_publisher(
        Image, "/image", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    status = robot.wait_for_diagnostic("camera camera", "offers reliability best_effort")
    assert "set qos_overrides./image.subscription.reliability" in status.message


def test_request_that_does_not_fit_is_told_in_words(robot, start_node):
    start_node()
    robot.wait_for_state("active")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    robot.listen("/proxia/labels", Image, latched)
    robot.wait_for_diagnostic("camera camera", "a subscriber of /proxia/labels asks for durability")


@pytest.mark.parametrize("reliability", list(ReliabilityPolicy)[1:3])
def test_reliable_and_best_effort_cameras_are_heard(robot, start_node, reliability):
    start_node()
    robot.listen("/proxia/labels", Image)
    qos = QoSProfile(depth=1, reliability=reliability)
    publisher = robot.node.create_publisher(Image, "/image", qos)
    robot.wait_for(publisher.get_subscription_count, "a listener")
    image = make_image(make_scene())

    def is_heard() -> bool:
        publisher.publish(image)
        return robot.wait_briefly(lambda: robot.heard["/proxia/labels"])

    robot.wait_for(is_heard, "labels")
