"""Images come out of bags as they went in; bags that can't be read say why."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from proxia_segmentation_ros.bag import BagFrame, BagWriter, bag_info, read_images
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire import (
    CompressedImageMessage,
    ImageMessage,
    decode_compressed,
    decode_image,
    write_image,
)

STORAGES = ("mcap", "sqlite3")
START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 50_000_000
TYPESTORE = get_typestore(Stores.ROS2_HUMBLE)


def make_image(index: int) -> ImageMessage:
    image_HWC = np.random.default_rng(index).integers(0, 256, (20, 24, 3), np.uint8)
    sec, nanosec = divmod(START_NS + index * PERIOD_NS, 1_000_000_000)
    return ImageMessage(
        stamp_sec=sec,
        stamp_nanosec=nanosec,
        frame_id="camera",
        height=20,
        width=24,
        encoding="rgb8",
        is_bigendian=False,
        step=72,
        data=image_HWC.reshape(-1),
    )


def make_compressed(index: int) -> CompressedImageMessage:
    image = make_image(index)
    return CompressedImageMessage(
        image.stamp_sec, image.stamp_nanosec, "camera", "png", image.data[:100]
    )


def write_bag(path: Path, storage: str = "mcap", count: int = 5) -> Path:
    with BagWriter(path, storage=storage) as bag:
        for index in range(count):
            bag.write("/camera/image_raw", make_image(index))
    return path


def write_two_topics(path: Path, storage: str = "mcap") -> Path:
    with BagWriter(path, storage=storage) as bag:
        for index in range(4):
            bag.write("/left", make_image(index))
            bag.write("/right/compressed", make_compressed(index))
    return path


def write_strings(path: Path) -> Path:
    """Write a bag with a topic of strings alone."""
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as bag:
        connection = bag.add_connection("/chatter", "std_msgs/msg/String", typestore=TYPESTORE)
        bag.write(connection, START_NS, b"\0\1\0\0\1\0\0\0\0")
    return path


def find_storage(path: Path) -> Path:
    return next(file for file in path.iterdir() if file.suffix in {".mcap", ".db3"})


def assert_frames(frames: Iterator[BagFrame], count: int = 5) -> None:
    read = list(frames)
    assert [frame.stamp_ns for frame in read] == [START_NS + i * PERIOD_NS for i in range(count)]
    for index, frame in enumerate(read):
        expected = make_image(index)
        assert frame.topic == "/camera/image_raw"
        assert isinstance(frame.message, ImageMessage)
        assert (frame.message.stamp_sec, frame.message.stamp_nanosec) == (
            expected.stamp_sec,
            expected.stamp_nanosec,
        )
        assert np.array_equal(frame.message.data, expected.data)
        assert decode_image(frame.message, max_pixels=480).shape == (20, 24, 3)


@pytest.mark.parametrize("storage", STORAGES)
def test_written_images_are_read_back(tmp_path: Path, storage: str) -> None:
    assert_frames(read_images(write_bag(tmp_path / "bag", storage)))


@pytest.mark.parametrize("storage", STORAGES)
def test_one_file_of_a_bag_is_enough(tmp_path: Path, storage: str) -> None:
    path = write_bag(tmp_path / "bag", storage)
    (path / "metadata.yaml").unlink()

    assert_frames(read_images(find_storage(path)))


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_compressed_bags_are_read(tmp_path: Path, storage: str, mode: CompressionMode) -> None:
    writer = Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer as bag:
        connection = bag.add_connection(
            "/camera/image_raw", "sensor_msgs/msg/Image", typestore=TYPESTORE
        )
        for index in range(5):
            bag.write(connection, START_NS + index * PERIOD_NS, write_image(make_image(index)))

    assert_frames(read_images(tmp_path / "bag"))


def test_clip_of_the_issue_is_read(shared_dir: Path) -> None:
    path = shared_dir / "data" / "clips" / "camvid_val_15hz"
    info = bag_info(path)
    assert [topic.name for topic in info.image_topics] == ["/camera/image_raw/compressed"]
    assert info.topics[0].message_count == info.message_count == 101
    assert info.topics[0].rate_hz == pytest.approx(15, abs=0.01)
    assert info.duration_s == pytest.approx(6.667, abs=0.001)

    frames = list(read_images(path))

    assert len(frames) == 101
    for frame in frames[::20]:
        assert isinstance(frame.message, CompressedImageMessage)
        assert frame.message.format == "rgb8; jpeg compressed bgr8"
        assert decode_compressed(frame.message, max_pixels=200_000).shape == (360, 480, 3)
    assert (np.diff([frame.stamp_ns for frame in frames]) > 0).all()


@pytest.mark.parametrize("storage", STORAGES)
def test_info_counts_topics(tmp_path: Path, storage: str) -> None:
    info = bag_info(write_two_topics(tmp_path / "bag", storage))

    assert [(topic.name, topic.message_count, topic.is_image) for topic in info.topics] == [
        ("/left", 4, True),
        ("/right/compressed", 4, True),
    ]
    assert info.duration_s == pytest.approx(0.15)
    assert info.topics[0].rate_hz == pytest.approx(20)


@pytest.mark.parametrize("count", [0, 1])
def test_short_bags_have_no_rate(tmp_path: Path, count: int) -> None:
    info = bag_info(write_bag(tmp_path / "bag", count=count))
    assert info.duration_s == 0
    assert [topic.rate_hz for topic in info.topics] == [0.0] * count


@pytest.mark.parametrize("storage", STORAGES)
def test_several_image_topics_must_be_chosen_from(tmp_path: Path, storage: str) -> None:
    path = write_two_topics(tmp_path / "bag", storage)
    with pytest.raises(InputError, match="holds 2 image topics: /left, /right/compressed"):
        read_images(path)

    assert [frame.topic for frame in read_images(path, "/left")] == ["/left"] * 4
    messages = [frame.message for frame in read_images(path, "/right/compressed")]
    assert all(isinstance(message, CompressedImageMessage) for message in messages)
    assert bytes(messages[3].data) == bytes(make_compressed(3).data)


def test_other_topics_do_not_hinder_the_choice(tmp_path: Path) -> None:
    path = tmp_path / "bag"
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as bag:
        image = bag.add_connection("/image", "sensor_msgs/msg/Image", typestore=TYPESTORE)
        other = bag.add_connection("/chatter", "std_msgs/msg/String", typestore=TYPESTORE)
        bag.write(other, START_NS, b"\0\1\0\0\1\0\0\0\0")
        bag.write(image, START_NS, write_image(make_image(0)))

    assert [frame.topic for frame in read_images(path)] == ["/image"]


def test_wrong_topics_are_input_errors(tmp_path: Path) -> None:
    images, strings = write_bag(tmp_path / "images"), write_strings(tmp_path / "strings")

    with pytest.raises(InputError, match=r"no topic '/nope'; expected one of /camera/image_raw;"):
        read_images(images, "/nope")
    with pytest.raises(InputError, match=r"no image topic but /chatter \(std_msgs/msg/String\)"):
        read_images(strings)
    with pytest.raises(InputError, match="holds std_msgs/msg/String on topic '/chatter'"):
        read_images(strings, "/chatter")


def test_bags_that_are_none_are_input_errors(tmp_path: Path) -> None:
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    for name, sentence in {
        "missing": "does not exist",
        "old.bag": "is of ROS 1.*rosbags-convert",
        "notes.txt": "can't be read",
        "empty": "has no metadata.yaml.*holds no bag",
    }.items():
        for read in (bag_info, read_images):
            with pytest.raises(InputError, match=sentence):
                read(tmp_path / name)


def test_missing_storage_file_is_an_input_error(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag")
    find_storage(path).unlink()
    with pytest.raises(InputError, match="can't be read"):
        read_images(path)


def test_messages_that_the_index_promises_are_missed(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag")
    metadata = path / "metadata.yaml"
    text = metadata.read_text()
    metadata.write_text(text.replace("message_count: 5", "message_count: 6"))

    frames = read_images(path)
    for _ in range(5):
        next(frames)
    with pytest.raises(InputError, match="holds 5 of the 6 messages"):
        next(frames)


def test_broken_message_names_topic_and_time(tmp_path: Path) -> None:
    path = tmp_path / "bag"
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as bag:
        connection = bag.add_connection("/image", "sensor_msgs/msg/Image", typestore=TYPESTORE)
        bag.write(connection, START_NS, write_image(make_image(0)))
        bag.write(connection, START_NS + 1, write_image(make_image(1))[:40])

    frames = read_images(path)
    next(frames)
    with pytest.raises(InputError, match=f"topic '/image', at {START_NS + 1} ns: .*ends in its"):
        next(frames)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.95])
def test_truncated_bag_is_an_input_error(tmp_path: Path, storage: str, part: float) -> None:
    path = write_bag(tmp_path / "bag", storage, count=40)
    file = find_storage(path)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])

    for source in (path, file):
        with pytest.raises(InputError, match=r"can't be read|that its index names"):
            list(read_images(source))


@pytest.mark.parametrize("storage", STORAGES)
def test_random_mutations_raise_input_errors_alone(tmp_path: Path, storage: str) -> None:
    path = write_bag(tmp_path / "bag", storage, count=3)
    file, metadata = find_storage(path), path / "metadata.yaml"
    rng = np.random.default_rng(12)
    originals = {path: path.read_bytes() for path in (file, metadata)}
    num_refused = 0
    for _ in range(50):
        for original, data in originals.items():
            changed = np.frombuffer(data, np.uint8).copy()
            # The pixels fill most of the file and nobody checks those.
            places = rng.integers(0, len(changed), 3)
            places = np.append(
                places, len(changed) - 1 - rng.integers(0, min(400, len(changed)), 3)
            )
            changed[places] = rng.integers(32, 127, 6)
            original.write_bytes(changed.tobytes())
            try:
                bag_info(path)
                list(read_images(path))
            except InputError:
                num_refused += 1
            original.write_bytes(data)
    assert num_refused > 25
    assert_frames(read_images(path), 3)


def test_errors_of_the_consumer_are_not_the_bag_s(tmp_path: Path) -> None:
    def consume() -> None:
        for _ in read_images(write_bag(tmp_path / "bag")):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        consume()


def test_bag_needs_no_ros(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('rclpy', 'sensor_msgs', 'rosbag2_py', 'torch')))\n"
        "from proxia_segmentation_ros.bag import bag_info, read_images\n"
        "assert bag_info(sys.argv[1]).message_count == len(list(read_images(sys.argv[1]))) == 5\n"
    )
    subprocess.run([sys.executable, "-c", code, str(write_bag(tmp_path / "bag"))], check=True)
