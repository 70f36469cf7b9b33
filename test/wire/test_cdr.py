"""CDR read and written here is byte for byte what ROS and rosbags read and write."""

import struct
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

# ROS comes with the project's own environment: where it is missing, this fails on purpose.
import rclpy.serialization
from builtin_interfaces.msg import Time
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from wire_images import make_blank, make_compressed

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.cdr import (
    CompressedImageMessage,
    ImageMessage,
    ImageWriter,
    read_compressed_image,
    read_image,
    view_bytes,
    write_compressed_image,
    write_image,
)
from proxia_segmentation_ros.wire.encodings import decode_image

# Every alignment of what follows a string, both ways of letters, and none at all.
NAMES = ["", "a", "ab", "abc", "abcd", "camera_front/optical", "カメラ"]
STAMPS = [(0, 0), (1_700_000_000, 999_999_999), (-5, 2**32 - 1), (2**31 - 1, 1), (-(2**31), 0)]
TYPESTORE = get_typestore(Stores.ROS2_HUMBLE)


def make_message(frame_id: str = "cam", encoding: str = "rgb8", num_bytes: int = 7) -> ImageMessage:
    data = np.arange(num_bytes, dtype=np.uint8)
    return make_blank(
        frame_id=frame_id, encoding=encoding, data=data, is_bigendian=True, step=3_000_000_000
    )


def make_ros_image(message: ImageMessage) -> Image:
    ros = Image(
        header=make_ros_header(message),
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=int(message.is_bigendian),
        step=message.step,
    )
    ros.data.frombytes(bytes(message.data))
    return ros


def make_ros_header(message: ImageMessage | CompressedImageMessage) -> Header:
    stamp = Time(sec=message.stamp_sec, nanosec=message.stamp_nanosec)
    return Header(stamp=stamp, frame_id=message.frame_id)


def serialize_with_rosbags(
    message: ImageMessage | CompressedImageMessage, *, little: bool
) -> bytes:
    types = TYPESTORE.types
    header = types["std_msgs/msg/Header"](
        types["builtin_interfaces/msg/Time"](message.stamp_sec, message.stamp_nanosec),
        message.frame_id,
    )
    if isinstance(message, ImageMessage):
        name = "sensor_msgs/msg/Image"
        body = types[name](
            header,
            message.height,
            message.width,
            message.encoding,
            int(message.is_bigendian),
            message.step,
            message.data,
        )
    else:
        name = "sensor_msgs/msg/CompressedImage"
        body = types[name](header, message.format, message.data)
    return bytes(TYPESTORE.serialize_cdr(body, name, little_endian=little))


def zero_padding(serialized: bytes, frame_id: str, name: str, *, is_image: bool = True) -> bytes:
    """Return the bytes with zeros for padding, which Fast CDR leaves as it found the memory."""
    cleared = bytearray(serialized)
    name_at = 12 + 4 + len(frame_id.encode()) + 1
    _clear_gap(cleared, name_at)
    # In an Image height and width stand before the name, is_bigendian behind it.
    name_at += -name_at % 4 + (8 if is_image else 0)
    _clear_gap(cleared, name_at + 4 + len(name.encode()) + 1 + is_image)
    return bytes(cleared)


def _clear_gap(serialized: bytearray, start: int) -> None:
    gap = -start % 4
    serialized[start : start + gap] = bytes(gap)


def assert_equal(
    got: ImageMessage | CompressedImageMessage, expected: ImageMessage | CompressedImageMessage
) -> None:
    for field in fields(expected):
        ours, theirs = getattr(got, field.name), getattr(expected, field.name)
        if field.name == "data":
            assert bytes(ours) == bytes(theirs)
        else:
            assert ours == theirs, field.name
            assert type(ours) is type(theirs), field.name


@pytest.mark.parametrize("num_bytes", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("encoding", NAMES)
@pytest.mark.parametrize("frame_id", NAMES)
def test_image_is_what_rclpy_serializes(frame_id: str, encoding: str, num_bytes: int) -> None:
    message = make_message(frame_id, encoding, num_bytes)
    serialized = rclpy.serialization.serialize_message(make_ros_image(message))

    assert write_image(message) == zero_padding(serialized, frame_id, encoding)
    assert write_image(message) == serialize_with_rosbags(message, little=True)
    assert_equal(read_image(serialized), message)


@pytest.mark.parametrize("stamp", STAMPS)
def test_stamps_pass_bit_for_bit(stamp: tuple[int, int]) -> None:
    message = replace(make_message(), stamp_sec=stamp[0], stamp_nanosec=stamp[1])
    # rclpy's Time takes no nanoseconds beyond its range in debug mode; rosbags takes all.
    serialized = serialize_with_rosbags(message, little=True)

    assert write_image(message) == serialized
    assert_equal(read_image(serialized), message)


@pytest.mark.parametrize("num_bytes", [0, 1, 3, 4])
@pytest.mark.parametrize("image_format", NAMES)
@pytest.mark.parametrize("frame_id", NAMES)
def test_compressed_image_is_what_rclpy_serializes(
    frame_id: str, image_format: str, num_bytes: int
) -> None:
    message = replace(make_compressed(b"\xff" * num_bytes, image_format), frame_id=frame_id)
    ros = CompressedImage(header=make_ros_header(message), format=image_format)
    ros.data.frombytes(bytes(message.data))
    serialized = rclpy.serialization.serialize_message(ros)

    written = write_compressed_image(message)
    assert written == zero_padding(serialized, frame_id, image_format, is_image=False)
    assert written == serialize_with_rosbags(message, little=True)
    assert_equal(read_compressed_image(serialized), message)


def test_ros_reads_what_is_written_here() -> None:
    message = make_message("カメラ", "bayer_rggb8", 1000)
    assert rclpy.serialization.deserialize_message(write_image(message), Image) == make_ros_image(
        message
    )


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("frame_id", NAMES)
@pytest.mark.parametrize("encoding", NAMES)
def test_both_endiannesses_are_read(frame_id: str, encoding: str, little: bool) -> None:
    image = make_message(frame_id, encoding)
    compressed = replace(make_compressed(b"\xff\xd8", encoding), frame_id=frame_id)

    assert_equal(read_image(serialize_with_rosbags(image, little=little)), image)
    assert_equal(
        read_compressed_image(serialize_with_rosbags(compressed, little=little)), compressed
    )


@pytest.mark.parametrize("container", [bytes, bytearray, memoryview])
def test_data_is_a_view_of_the_buffer(container: Callable[[bytes], bytes]) -> None:
    buffer = container(write_image(make_message()))
    assert np.shares_memory(read_image(buffer).data, np.frombuffer(buffer, np.uint8))


def test_empty_string_without_its_nul_is_read() -> None:
    serialized = struct.pack("<4siIIIII", b"\0\1\0\0", 1, 2, 0, 0, 1, 255)
    with pytest.raises(InputError):
        read_image(serialized)
    assert read_compressed_image(serialized[:20] + struct.pack("<I", 0)).frame_id == ""


def test_padding_behind_the_message_is_ignored() -> None:
    message = make_message()
    assert_equal(read_image(write_image(message) + b"\0\0\0"), message)


@pytest.mark.parametrize("encapsulation", [b"\0\2\0\0", b"\0\3\0\0", b"\1\0\0\0", b"\xff" * 4])
def test_other_encapsulations_are_named(encapsulation: bytes) -> None:
    with pytest.raises(InputError) as caught:
        read_image(encapsulation + write_image(make_message())[4:])
    assert encapsulation.hex(" ") in str(caught.value)


@pytest.mark.parametrize("read", [read_image, read_compressed_image])
@pytest.mark.parametrize("buffer", [b"", b"\0", b"\0\1", b"\0\1\0", b"\0\1\0\0"])
def test_less_than_a_header_is_an_input_error(
    read: Callable[[bytes], object], buffer: bytes
) -> None:
    with pytest.raises(InputError):
        read(buffer)


@pytest.mark.parametrize("name", [b"ab\0cd\0", b"abcdef", b"ab\0\0\0\0", b"\xff\xfe\xfd\xfc\xfb\0"])
def test_strings_that_cannot_be_passed_on_are_refused(name: bytes) -> None:
    serialized = write_image(make_message(frame_id="abcde"))
    assert serialized.count(b"abcde\0") == 1
    with pytest.raises(InputError, match="frame_id"):
        read_image(serialized.replace(b"abcde\0", name))


def test_every_truncation_is_an_input_error() -> None:
    image = write_image(make_message("camera", "mono8", 9))
    compressed = write_compressed_image(make_compressed(b"\xff\xd8\xff", "jpeg"))
    for serialized, read in ((image, read_image), (compressed, read_compressed_image)):
        read(serialized)
        for size in range(len(serialized)):
            with pytest.raises(InputError):
                read(serialized[:size])


def test_lengths_beyond_the_end_are_input_errors() -> None:
    serialized = bytearray(write_image(make_message("camera", "mono8", 9)))
    num_refused = 0
    for offset in range(4, len(serialized) - 3):
        for value in (2**32 - 1, 2**31, len(serialized)):
            changed = bytearray(serialized)
            struct.pack_into("<I", changed, offset, value)
            try:
                message = read_image(bytes(changed))
                assert len(message.data) <= 9
            except InputError:
                num_refused += 1
    assert num_refused > 10


def test_random_mutations_raise_input_errors_alone() -> None:
    rng = np.random.default_rng(8)
    originals = (
        (write_image(make_blank()), read_image),
        (write_compressed_image(make_compressed(b"\xff" * 40, "jpeg")), read_compressed_image),
    )
    num_read = 0
    for serialized, read in originals:
        for _ in range(4000):
            size = rng.integers(len(serialized)) if rng.integers(4) == 0 else len(serialized)
            changed = np.frombuffer(serialized, np.uint8)[:size].copy()
            places = rng.integers(0, 64, rng.integers(1, 4))
            places = places[places < size]
            changed[places] = rng.integers(0, 256, len(places))
            try:
                message = read(changed.tobytes())
                num_read += 1
                if isinstance(message, ImageMessage):
                    decode_image(message, max_pixels=100_000)
            except InputError:
                continue
    assert num_read > 100


@pytest.mark.parametrize("frame_id", NAMES)
@pytest.mark.parametrize(
    ("encoding", "dtype", "channels"),
    [
        ("mono8", "u1", 1),
        ("mono16", "<u2", 1),
        ("rgb8", "u1", 3),
        ("bgr8", "u1", 3),
        ("16UC1", "<u2", 1),
        ("32FC1", "<f4", 1),
    ],
)
def test_image_writer_writes_what_rclpy_serializes(
    frame_id: str, encoding: str, dtype: str, channels: int
) -> None:
    shape = (5, 7, channels) if channels > 1 else (5, 7)
    writer = ImageWriter(frame_id, 5, 7, encoding)
    for stamp_sec in (0, 1_700_000_000):
        pixels = np.random.default_rng(stamp_sec).integers(0, 200, shape).astype(dtype)
        ros = Image(
            header=Header(stamp=Time(sec=stamp_sec, nanosec=77), frame_id=frame_id),
            height=5,
            width=7,
            encoding=encoding,
            step=7 * channels * np.dtype(dtype).itemsize,
        )
        ros.data.frombytes(pixels.tobytes())

        serialized = writer.write(stamp_sec, 77, pixels)

        theirs = rclpy.serialization.serialize_message(ros)
        assert serialized == zero_padding(theirs, frame_id, encoding)


def test_image_writer_takes_views_that_are_not_contiguous() -> None:
    pixels = np.arange(70, dtype=np.uint8).reshape(5, 14)[:, ::2]
    written = ImageWriter("camera", 5, 7, "mono8").write(1, 2, pixels)
    assert bytes(read_image(written).data) == pixels.tobytes()


def test_image_writer_refuses_other_sizes_and_encodings() -> None:
    with pytest.raises(InputError, match="35 bytes"):
        ImageWriter("camera", 5, 7, "mono8").write(1, 2, np.zeros((5, 7), np.uint16))
    with pytest.raises(InputError, match="'nv12' can't be written"):
        ImageWriter("camera", 5, 7, "nv12")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, np.frombuffer])
def test_bytes_are_viewed_and_not_copied(kind: Any) -> None:
    data = kind(b"abcd") if kind is not np.frombuffer else np.frombuffer(b"abcd", np.uint8)
    view = view_bytes(data)
    assert view.tolist() == [97, 98, 99, 100]
    assert np.shares_memory(view, np.frombuffer(data, np.uint8))
