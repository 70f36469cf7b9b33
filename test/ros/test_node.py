"""The node's life and its topics, over DDS."""

import numpy as np
from fake_segmenter import expect_labels
from robot import LATCHED, make_image, make_scene, read_pixels
from sensor_msgs.msg import Image
from vision_msgs.msg import LabelInfo


def test_node_walks_to_active_by_itself_and_labels(robot, start_node):
    start_node()
    labels = robot.listen("/proxia/labels", Image)
    infos = robot.listen("/proxia/label_info", LabelInfo, LATCHED)
    robot.wait_for(lambda: infos, "label info")
    image_HWC = make_scene(3)
    robot.publish("/image", make_image(image_HWC, sec=5, nanosec=999_999_999, frame="front/cam é"))
    robot.wait_for(lambda: labels, "labels")
    np.testing.assert_array_equal(read_pixels(labels[0]), expect_labels(image_HWC))
    assert robot.state() == "active"
