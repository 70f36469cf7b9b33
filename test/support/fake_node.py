"""A node that answers like the real one, without a model: road on the left, sky on the right.

`FAKE_NODE` chooses what goes wrong: `silent` never labels, `dead` ends at its first frame,
`broken` ends at once, `lossy` labels every other frame.
"""

import os
import sys
from typing import Any

import numpy as np
import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from vision_msgs.msg import LabelInfo, VisionClass

from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.msg import ClassSummary, ObjectSummary, SceneSummary, StreamStats
from proxia_segmentation_ros.wire import read_encoded_size

STATS_PERIOD_S = 0.2
ROAD, SKY = 3, 0


class FakeNode(Node):
    def __init__(self) -> None:
        super().__init__("proxia", automatically_declare_parameters_from_overrides=True)
        self.mode = os.environ.get("FAKE_NODE", "")
        self.received = self.labelled = 0
        self.create_service(GetState, "~/get_state", self._answer)
        # Deep enough that a listener on a busy machine misses nothing.
        self.labels = self.create_publisher(Image, "~/labels", 50)
        self.objects = self.create_publisher(SceneSummary, "~/objects", 50)
        self.stats = self.create_publisher(StreamStats, "~/stats", 1)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.info = self.create_publisher(LabelInfo, "~/label_info", latched)
        names = load_label_set("camvid").names
        classes = [VisionClass(class_id=i, class_name=name) for i, name in enumerate(names)]
        self.info.publish(LabelInfo(class_map=classes))
        topic = self.get_parameter("cameras.camera.image_topic").value
        transport = self.get_parameter("cameras.camera.transport").value
        kind = Image if transport == "raw" else CompressedImage
        topic += "" if transport == "raw" else "/compressed"
        self.create_subscription(kind, topic, self._label, QoSProfile(depth=50))
        self.create_timer(STATS_PERIOD_S, self._tell_stats)

    def _answer(self, _request: GetState.Request, response: Any) -> Any:
        response.current_state = State(label="active")
        return response

    def _label(self, message: Any) -> None:
        if self.mode == "dead":
            raise RuntimeError("the fake model burst")
        self.received += 1
        if self.mode == "silent" or (self.mode == "lossy" and self.received % 2):
            return
        self.labelled += 1
        if isinstance(message, Image):
            height, width = message.height, message.width
        else:
            height, width = read_encoded_size(bytes(message.data))
        labels_HW = np.full((height, width), SKY, np.uint8)
        labels_HW[:, : width // 2] = ROAD
        image = Image(
            header=message.header, height=height, width=width, encoding="mono8", step=width
        )
        image.data.frombytes(labels_HW)
        self.labels.publish(image)
        box = RegionOfInterest(x_offset=0, y_offset=0, width=width // 2, height=height)
        road = ClassSummary(class_id=ROAD, class_name="road", objects=[ObjectSummary(box=box)])
        self.objects.publish(
            SceneSummary(header=message.header, label_set="camvid", classes=[road])
        )

    def _tell_stats(self) -> None:
        self.stats.publish(
            StreamStats(
                received=self.received,
                labelled=self.labelled,
                dropped_replaced=self.received - self.labelled,
                backend="fake",
                precision="f32",
            )
        )


def main() -> None:
    if os.environ.get("FAKE_NODE") == "broken":
        sys.exit("weights 'none' are not shipped")
    rclpy.init()
    try:
        rclpy.spin(FakeNode())
    except (KeyboardInterrupt, ExternalShutdownException):
        return


if __name__ == "__main__":
    main()
