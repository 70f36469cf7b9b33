"""The files that a frame passes, DDS to DDS, are those that docs/architecture.md lists."""

import itertools
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from robot import make_image, make_scene
from sensor_msgs.msg import Image

import proxia_segmentation_ros
from proxia_segmentation_ros.backends.contract import LabelledImage
from proxia_segmentation_ros.inference.segmenter import Segmentation
from proxia_segmentation_ros.inference.segmenter_factory import load_segmenter
from proxia_segmentation_ros.msg import SceneSummary
from proxia_segmentation_ros.objects.regions import Regions
from proxia_segmentation_ros.objects.summary import Scene
from proxia_segmentation_ros.pipeline.mailbox import PendingFrame
from proxia_segmentation_ros.pipeline.sink import DecodedImage
from proxia_segmentation_ros.wire.cdr import ImageMessage

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = Path(proxia_segmentation_ros.__file__).resolve().parent
# What a frame is on its way; bytes and arrays count from this size on.
FORMS = (PendingFrame, ImageMessage, DecodedImage, Segmentation, LabelledImage, Regions, Scene)
MIN_BYTES = 1000
MAX_FILES, MAX_CHANGES = 12, 5


def is_frame(value: Any) -> bool:
    if isinstance(value, bytes | bytearray):
        return len(value) >= MIN_BYTES
    if isinstance(value, np.ndarray):
        return value.nbytes >= MIN_BYTES
    if isinstance(value, list | tuple):
        return any(is_frame(entry) for entry in value[:4])
    return isinstance(value, FORMS)


class Walk:
    """Notes, in order, the package's files in which a function is given the frame."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.is_open = False

    def note(self, frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if not self.is_open or event != "call" or not code.co_filename.startswith(str(PACKAGE)):
            return
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if any(is_frame(frame.f_locals.get(name)) for name in names):
            name = str(Path(code.co_filename).relative_to(PACKAGE))
            if name not in self.files:
                self.files.append(name)

    @contextmanager
    def watch_new_threads(self) -> Iterator[None]:
        threading.setprofile(self.note)
        try:
            yield
        finally:
            threading.setprofile(None)


def read_documented_walk() -> list[str]:
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.partition("## Walk 1")[2].partition("## Walk 2")[0]
    return re.findall(r"^\d+\. `([\w/]+\.py)`", section, re.M)


@pytest.mark.slow
def test_frame_passes_the_documented_files(robot: Any, start_node: Any) -> None:
    walk = Walk()
    robot.listen("/proxia/labels", Image)
    robot.listen("/proxia/objects", SceneSummary)
    with walk.watch_new_threads():
        node = start_node({"inference.backend": "openvino"}, factory=load_segmenter)
        # Once before, so that nothing is prepared while the walk is watched.
        robot.show(make_image(make_scene(0, (96, 128)), sec=1))
        robot.wait_for_stamp("/proxia/objects", 1)
        robot.wait_for(lambda: is_at_rest(node), "the end of the first frame")
    walk.is_open = True
    robot.show(make_image(make_scene(1, (96, 128)), sec=2))
    robot.wait_for_stamp("/proxia/objects", 2)
    walk.is_open = False
    # The receiver is given nothing: it takes the message from DDS.
    assert ["ros/receiver.py", *walk.files] == read_documented_walk()


def is_at_rest(node: Any) -> bool:
    """Whether every frame that came in has been followed up, and no other comes."""
    counted = node.count("received")
    time.sleep(0.3)
    return (
        counted == node.count("labelled") + node.count("dropped_replaced") == node.count("received")
    )


def test_documented_walk_is_short_and_never_goes_back() -> None:
    files = read_documented_walk()
    assert len(files) <= MAX_FILES
    sink = "ros/node/camera_output.py"
    assert files.count(sink) == 1
    files.remove(sink)
    rooms = [name for name, _ in itertools.groupby(name.partition("/")[0] for name in files)]
    assert len(rooms) - 1 <= MAX_CHANGES
    assert len(set(rooms)) == len(rooms)
