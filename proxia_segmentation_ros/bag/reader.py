"""Read camera images from rosbag2 recordings: MCAP or sqlite3, a folder or a single file of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxia_segmentation_ros.bag.storage import METADATA, open_reader
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.cdr import (
    CompressedImageMessage,
    ImageMessage,
    read_compressed_image,
    read_image,
)

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE_TYPE = "sensor_msgs/msg/CompressedImage"
_READERS: dict[str, Callable[[bytes], ImageMessage | CompressedImageMessage]] = {
    IMAGE_TYPE: read_image,
    COMPRESSED_IMAGE_TYPE: read_compressed_image,
}
_BAG_RULE = "a rosbag2 folder with metadata.yaml, or one .mcap or .db3 file"
_COMPRESSED_SUFFIX = ".zstd"
_REPAIR = "record it again or repair it with `mcap recover` or `ros2 bag reindex`"


@dataclass(frozen=True, eq=False)
class BagFrame:
    """A recorded image; `stamp_ns` is the time of recording, `message` has its own stamp."""

    topic: str
    stamp_ns: int
    message: ImageMessage | CompressedImageMessage


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag; `rate_hz` is the mean over the whole bag, 0 below two messages."""

    name: str
    message_type: str
    message_count: int
    rate_hz: float

    @property
    def is_image(self) -> bool:
        """Whether `read_images` can read it."""
        return self.message_type in _READERS


@dataclass(frozen=True)
class BagInfo:
    """Contents of a bag according to its index; topics are sorted by name."""

    path: Path
    duration_s: float
    message_count: int
    topics: tuple[BagTopic, ...]

    @property
    def image_topics(self) -> tuple[BagTopic, ...]:
        """Return the topics that hold images, raw or compressed."""
        return tuple(topic for topic in self.topics if topic.is_image)


def bag_info(path: str | Path) -> BagInfo:
    """Read the index of a bag, without its messages.

    Raises:
        InputError: missing, not a rosbag2 recording, or corrupt.
    """
    with _open_bag(Path(path)) as bag, _blame_bag(Path(path)):
        # rosbags sets the end 1 ns after the last message.
        duration_s = max(0, bag.duration - 1) / 1e9
        topics = tuple(
            BagTopic(
                name,
                info.msgtype or "several types",
                info.msgcount,
                _compute_rate(info.msgcount, duration_s),
            )
            for name, info in sorted(bag.topics.items())
        )
        return BagInfo(Path(path), duration_s, bag.message_count, topics)


def read_images(
    path: str | Path,
    topic: str | None = None,
    *,
    skip_damaged: Callable[[InputError], None] | None = None,
) -> Iterator[BagFrame]:
    """Iterate over the images of a topic in order of recording; they are read lazily.

    `topic` None takes the bag's only image topic. Path and topic are checked immediately; corrupt
    messages raise when they are reached, or are handed to `skip_damaged` and left out.

    Raises:
        InputError: missing or corrupt bag, no such topic, or several image topics.
    """
    name = _choose_topic(bag_info(path), topic)
    return _iterate_images(Path(path), name, skip_damaged)


def _iterate_images(
    path: Path, topic: str, skip_damaged: Callable[[InputError], None] | None
) -> Iterator[BagFrame]:
    with _open_bag(path) as bag:
        connections = [link for link in bag.connections if link.topic == topic]
        expected_count = sum(link.msgcount for link in connections)
        count = 0
        with closing(bag.messages(connections)) as messages:
            while True:
                # Only around reading: exceptions of the consumer are not errors of the bag.
                with _blame_bag(path):
                    record = next(messages, None)
                if record is None:
                    break
                connection, stamp_ns, raw = record
                count += 1
                try:
                    frame = _parse_frame(path, connection, stamp_ns, raw)
                except InputError as error:
                    if skip_damaged is None:
                        raise
                    skip_damaged(error)
                    continue
                yield frame
        if count < expected_count:
            raise InputError.from_parts(
                f"bag {str(path)!r} holds {count} of the {expected_count} messages on {topic!r}"
                " that its index names",
                "an index that fits the messages",
                "rebuild it with `ros2 bag reindex`",
            )


def _parse_frame(path: Path, connection: Any, stamp_ns: int, raw: bytes) -> BagFrame:
    try:
        message = _READERS[connection.msgtype](raw)
    except InputError as error:
        raise InputError(
            f"bag {str(path)!r}, topic {connection.topic!r}, at {stamp_ns} ns: {error}"
        ) from error
    return BagFrame(connection.topic, stamp_ns, message)


def _choose_topic(info: BagInfo, topic: str | None) -> str:
    known = (
        ", ".join(f"{entry.name} ({entry.message_type})" for entry in info.topics) or "no topics"
    )
    images = info.image_topics
    if topic is None:
        if len(images) == 1:
            return images[0].name
        if images:
            names = ", ".join(entry.name for entry in images)
            raise InputError.from_parts(
                f"bag {str(info.path)!r} holds {len(images)} image topics: {names}",
                "the name of one of them",
                "name it, for instance " + images[0].name,
            )
        raise InputError.from_parts(
            f"bag {str(info.path)!r} holds no image topic but {known}",
            f"a topic of {IMAGE_TYPE} or {COMPRESSED_IMAGE_TYPE}",
            "choose another bag",
        )
    if any(entry.name == topic for entry in images):
        return topic
    wrong_type = next((entry.message_type for entry in info.topics if entry.name == topic), None)
    wrong = f"has no topic {topic!r}"
    if wrong_type is not None:
        wrong = f"holds {wrong_type} on topic {topic!r}, no images"
    raise InputError.from_parts(
        f"bag {str(info.path)!r} {wrong}",
        ("one of " + ", ".join(entry.name for entry in images)) if images else "a bag with images",
        f"choose from {known}",
    )


def _compute_rate(message_count: int, duration_s: float) -> float:
    return (message_count - 1) / duration_s if message_count > 1 and duration_s > 0 else 0.0


@contextmanager
def _open_bag(path: Path) -> Iterator[Any]:
    if not path.exists():
        raise InputError.from_parts(
            f"bag {str(path)!r} does not exist", _BAG_RULE, "check the path"
        )
    if path.suffix == ".bag":
        raise InputError.from_parts(
            f"bag {str(path)!r} is of ROS 1",
            _BAG_RULE,
            f"convert it with `rosbags-convert --src {path} --dst {path.with_suffix('')}`",
        )
    if path.is_file() and path.suffix == _COMPRESSED_SUFFIX:
        raise InputError.from_parts(
            f"bag {str(path)!r} is compressed", _BAG_RULE, _name_decompression([path])
        )
    if path.is_dir() and not (path / METADATA).is_file():
        raise InputError.from_parts(
            f"folder {str(path)!r} has no metadata.yaml", _BAG_RULE, _find_remedy(path)
        )
    with ExitStack() as stack:
        with _blame_bag(path):
            bag = stack.enter_context(open_reader(path))
        yield bag


def _find_remedy(path: Path) -> str:
    """Return what helps with a folder that can't be opened, by the files in it."""
    files = sorted(path.iterdir()) if path.is_dir() else []
    if any(file.suffix in {".mcap", ".db3"} for file in files):
        return "name the .mcap or .db3 file in it, or make one with `ros2 bag reindex`"
    compressed = [file for file in files if file.suffix == _COMPRESSED_SUFFIX]
    return _name_decompression(compressed) if compressed else "check the path; it holds no bag"


def _name_decompression(files: Sequence[Path]) -> str:
    first = files[0]
    return f"decompress it with `zstd -d {first}`, then name {str(first.with_suffix(''))!r}"


@contextmanager
def _blame_bag(path: Path) -> Iterator[None]:
    """Convert exceptions of rosbags about a corrupt bag to InputError.

    rosbags checks little: struct.error, TypeError, AssertionError and errors of zstd, lz4 and
    sqlite escape from it, so a list of types would never be complete.
    """
    try:
        yield
    except Exception as error:
        raise InputError.from_parts(
            f"bag {str(path)!r} can't be read ({type(error).__name__}: {error})",
            _BAG_RULE,
            _find_repair(path),
        ) from error


def _find_repair(path: Path) -> str:
    """Return what helps with a bag that can't be read: only with storage files tools can help."""
    has_storage = path.is_file() or any(file.suffix in {".mcap", ".db3"} for file in path.iterdir())
    return _REPAIR if has_storage else _find_remedy(path)
