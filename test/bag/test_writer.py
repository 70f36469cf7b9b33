"""What is written here is what other readers of rosbag2 read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from proxia_segmentation_ros.bag import BagWriter, read_images
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire import ImageMessage


def make_image(fill: int) -> ImageMessage:
    return ImageMessage(7, 8, "camera", 16, 20, "mono8", False, 20, np.full(320, fill, np.uint8))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_rosbags_reads_types_and_fields(tmp_path: Path, storage: str) -> None:
    with BagWriter(tmp_path / "bag", storage=storage) as bag:
        bag.write("/image", make_image(3), stamp_ns=99)

    with AnyReader([tmp_path / "bag"]) as reader:
        [(connection, stamp_ns, raw)] = reader.messages()
        image: Any = reader.deserialize(raw, connection.msgtype)

    assert (connection.topic, connection.msgtype) == ("/image", "sensor_msgs/msg/Image")
    assert stamp_ns == 99
    assert (image.header.stamp.sec, image.header.stamp.nanosec) == (7, 8)
    assert (image.height, image.width, image.encoding, image.step) == (16, 20, "mono8", 20)
    assert (image.data == 3).all()


def test_recording_time_is_the_stamp_unless_given(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/image", make_image(1))
        bag.write("/image", make_image(2), stamp_ns=8_000_000_000)

    assert [frame.stamp_ns for frame in read_images(tmp_path / "bag")] == [
        7_000_000_008,
        8_000_000_000,
    ]


def test_existing_bag_is_never_overwritten(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        BagWriter(tmp_path)


def test_error_inside_keeps_what_is_written(tmp_path: Path) -> None:
    def record() -> None:
        with BagWriter(tmp_path / "bag") as bag:
            bag.write("/image", make_image(1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        record()
    assert len(list(read_images(tmp_path / "bag"))) == 1
