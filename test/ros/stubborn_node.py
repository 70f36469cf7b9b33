"""The real process with a model that hangs where the first argument says."""

import sys
import threading

from fake_segmenter import FakeSegmenter

from proxia_segmentation_ros.ros.node import SegmentationNode
from proxia_segmentation_ros.ros.process import run_node


class StubbornSegmenter(FakeSegmenter):
    def segment(self, *args, **kwargs):
        threading.Event().wait()


def load(settings):
    if sys.argv[1] == "loading":
        threading.Event().wait()
    return StubbornSegmenter() if sys.argv[1] == "inferring" else FakeSegmenter()


if __name__ == "__main__":
    sys.exit(run_node(lambda: SegmentationNode(segmenter_factory=load), None))
