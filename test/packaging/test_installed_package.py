"""What `colcon test` runs: the installation's modules, messages and data belong together."""

import importlib.resources
import math

from proxia_segmentation_ros.labels import load_label_set

PACKAGE = "proxia_segmentation_ros"


def test_messages_and_modules_share_one_package() -> None:
    from proxia_segmentation_ros.msg import ClassSummary, ObjectSummary, SceneSummary

    scene = SceneSummary(
        camera="front",
        classes=[ClassSummary(class_id=8, class_name="car", objects=[ObjectSummary(track_id=1)])],
    )
    assert scene.classes[0].objects[0].position.x == 0.0
    assert scene.header.stamp.sec == 0


def test_message_survives_the_wire() -> None:
    from rclpy.serialization import deserialize_message, serialize_message

    from proxia_segmentation_ros.msg import StreamStats

    sent = StreamStats(camera="rear", received=2**40, latency_ms=[1.5, 2.5, math.inf])
    received = deserialize_message(serialize_message(sent), StreamStats)
    assert received.received == 2**40
    assert list(received.latency_ms) == [1.5, 2.5, math.inf]


def test_label_info_is_importable() -> None:
    from vision_msgs.msg import LabelInfo, VisionClass

    info = LabelInfo(class_map=[VisionClass(class_id=3, class_name="road")], threshold=0.5)
    assert info.class_map[0].class_name == "road"


def test_package_data_is_readable() -> None:
    package = importlib.resources.files(PACKAGE)
    assert (package / "label_sets" / "camvid.yaml").is_file()
    assert (package / "evaluation" / "page.html.jinja").is_file()
    assert load_label_set("camvid").name == "camvid"
