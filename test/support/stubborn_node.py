"""The real process with a model, or a close, that hangs where the first argument says."""

import sys
import threading
from typing import Any

from fake_segmenter import FakeSegmenter

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.pipeline import watchdog
from proxia_segmentation_ros.ros.node import process
from proxia_segmentation_ros.ros.node.segmentation_node import SegmentationNode


class StubbornSegmenter(FakeSegmenter):
    def segment(self, *args: Any, **kwargs: Any) -> Any:
        threading.Event().wait()


class StubbornNode(SegmentationNode):
    def close(self) -> bool:
        return threading.Event().wait()


def load(settings: NodeSettings) -> Any:
    if sys.argv[1] == "loading":
        threading.Event().wait()
    return StubbornSegmenter() if sys.argv[1] in ("inferring", "hanging") else FakeSegmenter()


if __name__ == "__main__":
    kind = StubbornNode if sys.argv[1] == "closing" else SegmentationNode
    if sys.argv[1] == "hanging":
        watchdog.FIRST_DEADLINE_S = 0.3
    if sys.argv[1] != "closing":
        # A stop that needs the last resort shall not pass for an orderly one.
        process.LAST_RESORT_S = 3600.0
    sys.exit(process.run_node(lambda: kind(segmenter_factory=load), None))
