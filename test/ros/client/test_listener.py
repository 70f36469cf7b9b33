import time

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from proxia_segmentation_ros.msg import ClassSummary, ObjectSummary, SceneSummary, StreamStats
from proxia_segmentation_ros.ros.client.listener import StreamListener
from proxia_segmentation_ros.ros.client.session import RosSession

TIMEOUT_S = 60.0
STAMP_NS = 7_000_000_009


class Speaker:
    """Publishes under the names of the segmentation node."""

    def __init__(self, session):
        self._node = session.node
        # Latched, so that nothing said before the listener came is lost.
        latched = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        kinds = {
            "labels": Image,
            "objects": SceneSummary,
            "stats": StreamStats,
            "label_info": LabelInfo,
        }
        self._publishers = {
            leaf: self._node.create_publisher(kind, f"/segmenter/{leaf}", latched)
            for leaf, kind in kinds.items()
        }

    def say(self, leaf, message):
        publisher = self._publishers[leaf]
        deadline_s = time.monotonic() + TIMEOUT_S
        while not publisher.get_subscription_count():
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        publisher.publish(message)


@pytest.fixture
def heard(ros_domain):
    """Return a speaker and the listener that hears it."""
    with RosSession("test_speaker") as ours, RosSession("test_listener") as theirs:
        yield Speaker(ours), StreamListener(theirs, "/segmenter")


def make_header():
    header = Header(frame_id="cam")
    header.stamp.sec, header.stamp.nanosec = 7, 9
    return header


@pytest.mark.parametrize(("encoding", "dtype"), [("mono8", np.uint8), ("mono16", np.uint16)])
def test_labels_are_found_by_their_exact_stamp(heard, encoding, dtype):
    speaker, listener = heard
    labels_HW = np.arange(12, dtype=dtype).reshape(3, 4)
    step = 4 * labels_HW.itemsize
    image = Image(header=make_header(), height=3, width=4, encoding=encoding, step=step)
    image.data.frombytes(labels_HW.view(np.uint8))
    speaker.say("labels", image)
    assert listener.wait_for(lambda listener: STAMP_NS in listener.labels, TIMEOUT_S)
    received = listener.labels[STAMP_NS].labels_HW
    assert received.dtype == dtype
    assert np.array_equal(received, labels_HW)


def test_objects_become_boxes_and_counts(heard):
    speaker, listener = heard
    box = RegionOfInterest(x_offset=1, y_offset=2, width=3, height=4)
    car = ClassSummary(class_id=8, class_name="car", objects=[ObjectSummary(box=box)] * 2)
    sky = ClassSummary(class_id=0, class_name="sky")
    speaker.say(
        "objects", SceneSummary(header=make_header(), label_set="camvid", classes=[car, sky])
    )
    assert listener.wait_for(lambda listener: STAMP_NS in listener.scenes, TIMEOUT_S)
    scene = listener.scenes[STAMP_NS]
    assert scene.boxes == ((1, 2, 3, 4, 8),) * 2
    assert scene.counts == {"car": 2, "sky": 0}
    assert scene.label_set_name == "camvid"


def test_newest_statistics_stay(heard):
    speaker, listener = heard
    speaker.say("stats", StreamStats(received=1, labelled=1))
    speaker.say("stats", StreamStats(received=9, labelled=6, dropped_replaced=2, dropped_stale=1))
    assert listener.wait_for(
        lambda listener: listener.stats and listener.stats.received == 9, TIMEOUT_S
    )
    assert listener.stats.adds_up
    assert listener.stats.dropped["replaced"] == 2


def test_class_names_come_in_the_order_of_their_ids(heard):
    speaker, listener = heard
    classes = [VisionClass(class_id=1, class_name="road"), VisionClass(class_name="sky")]
    speaker.say("label_info", LabelInfo(class_map=classes))
    assert listener.wait_for(lambda listener: listener.class_names, TIMEOUT_S)
    assert listener.class_names == ("sky", "road")


def test_waiting_gives_up(heard):
    _, listener = heard
    assert not listener.wait_for(lambda listener: listener.labels, 0.05)
