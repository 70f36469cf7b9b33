"""A process that takes images and does nothing with them: the yardstick of benchmarks."""

import sys
import time

from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from proxia_segmentation_ros.ros.client.session import RosSession
from proxia_segmentation_ros.ros.receiver import Receiver, ReceiverCallbackGroup

LOOK_PERIOD_S = 0.5


def main() -> None:
    """Subscribe to the topic that the first argument names until interrupted."""
    topic = sys.argv[1]
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    with RosSession("proxia_baseline_subscriber") as session:
        # As the node takes its images, or the yardstick would be too short.
        subscription = session.node.create_subscription(
            Image, topic, _drop, qos, callback_group=ReceiverCallbackGroup(), raw=True
        )
        Receiver(session.context, [(subscription, _drop)], session.node.get_logger().error)
        while True:
            time.sleep(LOOK_PERIOD_S)


def _drop(_buffer: bytes) -> None:
    return


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
