"""Bags that are whole but unusual give all their images."""

import logging
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from proxia_segmentation_ros.bag import BagWriter, bag_info, read_images
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire import ImageMessage, write_image

STORAGES = ("mcap", "sqlite3")
TYPESTORE = get_typestore(Stores.ROS2_HUMBLE)
QOS = (
    "- history: {history}\n  depth: {depth}\n  reliability: 1\n  durability: 2\n"
    "  deadline: {{sec: 9223372036, nsec: 854775807}}\n"
    "  lifespan: {{sec: 9223372036, nsec: 854775807}}\n  liveliness: 1\n"
    "  liveliness_lease_duration: {{sec: 9223372036, nsec: 854775807}}\n"
    "  avoid_ros_namespace_conventions: false\n"
)


def make_image(index: int) -> ImageMessage:
    return ImageMessage(1, index, "camera", 2, 3, "mono8", False, 3, memoryview(bytes(6)))


def write_bag(path: Path, storage: str, count: int = 10) -> Path:
    with BagWriter(path, storage=storage) as bag:
        for index in range(count):
            bag.write("/image", make_image(index))
    return path


def find_storage(path: Path) -> Path:
    return next(file for file in path.iterdir() if file.suffix in {".mcap", ".db3"})


def edit_metadata(path: Path, **changes: Any) -> None:
    metadata = yaml.safe_load((path / "metadata.yaml").read_text())
    [topic] = metadata["rosbag2_bagfile_information"]["topics_with_message_count"]
    topic["topic_metadata"].update(changes)
    (path / "metadata.yaml").write_text(yaml.safe_dump(metadata))


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize(
    "changes",
    [
        {"offered_qos_profiles": QOS.format(history=3, depth=0)},
        {"offered_qos_profiles": QOS.format(history=1, depth=7)},
        {"type_description_hash": "RIHS01_0123"},
    ],
)
def test_words_of_metadata_about_a_topic_lose_no_message(
    tmp_path: Path, storage: str, changes: dict[str, str]
) -> None:
    path = write_bag(tmp_path / "bag", storage)
    edit_metadata(path, **changes)
    assert len(list(read_images(path))) == 10


def leave_unmerged(path: Path, journal_mode: str) -> None:
    """Add 20 images to a bag of 10 and copy it as a power cut would leave it."""
    file = find_storage(path)
    broken = path.with_name("broken.db3")
    database = sqlite3.connect(file, isolation_level=None)
    database.execute(f"PRAGMA journal_mode={journal_mode}")
    database.execute("PRAGMA wal_autocheckpoint=0")
    database.execute("PRAGMA cache_spill=1")
    database.execute("BEGIN IMMEDIATE")
    for index in range(10, 30):
        row = (1, 1_000_000_000 + index, write_image(make_image(index)))
        database.execute("INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)", row)
    database.execute("COMMIT")
    for ending in ("", "-wal"):
        shutil.copyfile(f"{file}{ending}", f"{broken}{ending}")
    database.close()
    for ending in ("", "-wal"):
        target = Path(f"{file}{ending}")
        shutil.copyfile(f"{broken}{ending}", target)


@pytest.mark.parametrize("is_folder", [True, False])
def test_log_of_a_recording_that_was_cut_off_is_read_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_folder: bool
) -> None:
    path = write_bag(tmp_path / "bag", "sqlite3")
    leave_unmerged(path, "WAL")
    file = find_storage(path)
    before = {entry: entry.read_bytes() for entry in path.iterdir()}
    with caplog.at_level(logging.WARNING):
        frames = list(read_images(path if is_folder else file))
    assert [frame.stamp_ns - 1_000_000_000 for frame in frames] == list(range(30))
    assert f"{file.name}-wal is merged into a copy" in caplog.text
    assert {entry: entry.read_bytes() for entry in path.iterdir()} == before


def test_unfinished_transaction_is_rolled_back(tmp_path: Path) -> None:
    """A power cut in the middle of writing, without a write-ahead log."""
    path = write_bag(tmp_path / "bag", "sqlite3")
    file = find_storage(path)
    before = file.read_bytes()
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA journal_mode=DELETE")
    database.execute("PRAGMA cache_size=1")
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE topics SET name = '/other'")
    rows = [(1, 1_000_000_000 + index, bytes(5000)) for index in range(10, 200)]
    database.executemany("INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)", rows)
    left = {ending: Path(f"{file}{ending}").read_bytes() for ending in ("", "-journal")}
    database.close()
    assert left[""] != before
    for ending, content in left.items():
        Path(f"{file}{ending}").write_bytes(content)
    for source in (path, file):
        assert [frame.topic for frame in read_images(source)] == ["/image"] * 10


def write_with_foreign_channel(path: Path, encoding: bytes) -> Path:
    """Write images and a channel whose schema is of another encoding, and no text."""
    assert len(encoding) == len(b"ros2msg")
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as bag:
        texts = bag.add_connection(
            "/text", "std_msgs/msg/String", typestore=TYPESTORE, serialization_format="protobuf"
        )
        images = bag.add_connection("/image", "sensor_msgs/msg/Image", typestore=TYPESTORE)
        for index in range(10):
            bag.write(texts, 1_000 + index, b"\x0a\x01x")
            bag.write(images, 1_000 + index, write_image(make_image(index)))
    file = find_storage(path)
    content = file.read_bytes()
    start = content.index(b"std_msgs/msg/String")
    old = content[start : content.index(b"data", start) + 4]
    new = old.replace(b"ros2msg", encoding)[:-4] + b"\xff\xfe\xfd\xfc"
    file.write_bytes(content.replace(old, new))
    return path


@pytest.mark.parametrize("encoding", [b"protobu", b"jsonsch"])
@pytest.mark.parametrize("is_folder", [True, False])
def test_channel_of_another_encoding_is_left_out(
    tmp_path: Path, encoding: bytes, is_folder: bool
) -> None:
    path = write_with_foreign_channel(tmp_path / "bag", encoding)
    source = path if is_folder else find_storage(path)
    assert [topic.name for topic in bag_info(source).topics] == ["/image"]
    assert len(list(read_images(source))) == 10


@pytest.mark.parametrize("with_metadata", [True, False])
def test_compressed_file_says_how_to_decompress_it(tmp_path: Path, with_metadata: bool) -> None:
    path = write_bag(tmp_path / "bag", "sqlite3")
    file = find_storage(path)
    compressed = file.rename(f"{file}.zstd")
    if not with_metadata:
        (path / "metadata.yaml").unlink()
    for source in (path, compressed):
        with pytest.raises(InputError) as caught:
            bag_info(source)
        assert f"`zstd -d {compressed}`, then name {str(file)!r}" in str(caught.value)
        assert "reindex" not in str(caught.value)
