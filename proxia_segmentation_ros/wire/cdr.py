"""Serialise sensor_msgs Image and CompressedImage as CDR and read them without copying pixels.

Layout (plain CDR, OMG RTPS 10.2): 4 bytes of encapsulation, then the fields in order. A number is
aligned to its size, counted from the end of the encapsulation. A string is its length with the
closing NUL, then its bytes. A sequence is its length, then its elements.

Why not a library: rclpy needs ROS, and its message objects cost two more copies of the pixels than
raw subscriptions with this reader. rosbags copies the pixels as well: 0.5 ms instead of 0.04 ms to
read 1280x720 rgb8. Errors here name the field that is wrong. The bytes are equal to those of
rosbags and rclpy (tests).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.limits import quote

_BODY = 4  # bytes of encapsulation
_LITTLE_ENDIAN = b"\x00\x01\x00\x00"
_ENDIAN_BY_ENCAPSULATION = {b"\x00\x00": ">", b"\x00\x01": "<"}
_BYTES_PER_PIXEL = {"mono8": 1, "mono16": 2, "rgb8": 3, "bgr8": 3, "16UC1": 2, "32FC1": 4}


Buffer = bytes | bytearray | memoryview | np.ndarray


def view_bytes(data: Buffer) -> np.ndarray:
    """View a contiguous buffer as a flat uint8 array, without a copy."""
    return np.frombuffer(data, np.uint8)


@dataclass(frozen=True, eq=False)
class ImageMessage:
    """Fields of a sensor_msgs/Image; `data` is a flat view of bytes, read-only if it was read."""

    stamp_sec: int
    stamp_nanosec: int
    frame_id: str
    height: int
    width: int
    encoding: str
    is_bigendian: bool
    step: int
    data: memoryview | np.ndarray


@dataclass(frozen=True, eq=False)
class CompressedImageMessage:
    """Fields of a sensor_msgs/CompressedImage; `data` is a flat view of bytes."""

    stamp_sec: int
    stamp_nanosec: int
    frame_id: str
    format: str
    data: memoryview | np.ndarray


def read_image(buffer: Buffer) -> ImageMessage:
    """Read a serialized sensor_msgs/Image of either endianness; `data` views the buffer.

    Raises:
        InputError: the bytes are not such a message, or are truncated.
    """
    cursor = _Cursor(buffer, "sensor_msgs/Image")
    return ImageMessage(
        stamp_sec=cursor.read_number("i", "stamp"),
        stamp_nanosec=cursor.read_number("I", "stamp"),
        frame_id=cursor.read_string("frame_id"),
        height=cursor.read_number("I", "height"),
        width=cursor.read_number("I", "width"),
        encoding=cursor.read_string("encoding"),
        is_bigendian=cursor.read_number("B", "is_bigendian") != 0,
        step=cursor.read_number("I", "step"),
        data=cursor.read_bytes("data"),
    )


def read_compressed_image(buffer: Buffer) -> CompressedImageMessage:
    """Read a serialized sensor_msgs/CompressedImage of either endianness.

    Raises:
        InputError: the bytes are not such a message, or are truncated.
    """
    cursor = _Cursor(buffer, "sensor_msgs/CompressedImage")
    return CompressedImageMessage(
        stamp_sec=cursor.read_number("i", "stamp"),
        stamp_nanosec=cursor.read_number("I", "stamp"),
        frame_id=cursor.read_string("frame_id"),
        format=cursor.read_string("format"),
        data=cursor.read_bytes("data"),
    )


def write_image(message: ImageMessage) -> bytes:
    """Serialize an Image in little-endian CDR."""
    data = view_bytes(message.data).data
    tail = _pack_image_fields(
        message.frame_id,
        message.height,
        message.width,
        message.encoding,
        message.is_bigendian,
        message.step,
        data.nbytes,
    )
    stamp = struct.pack("<iI", message.stamp_sec, message.stamp_nanosec)
    return b"".join((_LITTLE_ENDIAN, stamp, tail, data))


def write_compressed_image(message: CompressedImageMessage) -> bytes:
    """Serialize a CompressedImage in little-endian CDR."""
    data = view_bytes(message.data).data
    body = struct.pack("<iI", message.stamp_sec, message.stamp_nanosec)
    body += _pack_string(message.frame_id)
    body += _pad(body, 4) + _pack_string(message.format)
    body += _pad(body, 4) + struct.pack("<I", data.nbytes)
    return b"".join((_LITTLE_ENDIAN, body, data))


class ImageWriter:
    """Serializes Images that differ only in stamp and pixels; for `Publisher.publish(bytes)`.

    Rows have no padding. `encoding`: mono8, mono16, rgb8, bgr8, 16UC1 or 32FC1.
    """

    def __init__(self, frame_id: str, height: int, width: int, encoding: str) -> None:
        if encoding not in _BYTES_PER_PIXEL:
            raise InputError.from_parts(
                f"image encoding {quote(encoding)} can't be written",
                f"one of {', '.join(_BYTES_PER_PIXEL)}",
                "choose one of these",
            )
        step = width * _BYTES_PER_PIXEL[encoding]
        self.num_bytes = height * step
        # The message is little-endian, so arrays of wider types must be little-endian too.
        self._tail = _pack_image_fields(
            frame_id, height, width, encoding, False, step, self.num_bytes
        )

    def write(self, stamp_sec: int, stamp_nanosec: int, pixels: np.ndarray) -> bytes:
        """Serialize an image; C-contiguous `pixels` are copied once.

        Raises:
            InputError: `pixels` has another number of bytes than the image.
        """
        if pixels.nbytes != self.num_bytes:
            raise InputError.from_parts(
                f"pixels of shape {pixels.shape} and type {pixels.dtype} are {pixels.nbytes} bytes",
                f"{self.num_bytes} bytes",
                "make a writer for each size and encoding",
            )
        stamp = struct.pack("<iI", stamp_sec, stamp_nanosec)
        return b"".join((_LITTLE_ENDIAN, stamp, self._tail, np.ascontiguousarray(pixels).data))


def _pack_image_fields(
    frame_id: str,
    height: int,
    width: int,
    encoding: str,
    is_bigendian: bool,
    step: int,
    num_bytes: int,
) -> bytes:
    """Pack the fields between stamp and pixels; the stamp's 8 bytes do not change the alignment."""
    body = _pack_string(frame_id)
    body += _pad(body, 4) + struct.pack("<II", height, width)
    body += _pack_string(encoding) + struct.pack("<B", is_bigendian)
    return body + _pad(body, 4) + struct.pack("<II", step, num_bytes)


def _pack_string(text: str) -> bytes:
    encoded = text.encode() + b"\x00"
    return struct.pack("<I", len(encoded)) + encoded


def _pad(body: bytes, alignment: int) -> bytes:
    return b"\x00" * (-len(body) % alignment)


class _Cursor:
    """A reading position in CDR bytes, checked against their end."""

    def __init__(self, buffer: Buffer, type_name: str) -> None:
        self._bytes = view_bytes(buffer)
        self._type_name = type_name
        self._offset = _BODY
        endian = _ENDIAN_BY_ENCAPSULATION.get(self._bytes[:2].tobytes())
        if endian is None or len(self._bytes) < _BODY:
            raise self._make_error(
                f"starts with {self._bytes[:_BODY].tobytes().hex(' ') or 'nothing'}",
                "the encapsulation 00 00 or 00 01 of plain CDR",
            )
        self._structs: dict[str, struct.Struct] = {
            code: struct.Struct(endian + code) for code in "iIB"
        }

    def read_number(self, code: str, field: str) -> int:
        layout = self._structs[code]
        start = _BODY + -(-(self._offset - _BODY) // layout.size) * layout.size
        self._require(start, layout.size, field)
        self._offset = start + layout.size
        unpack: Callable[..., tuple[Any, ...]] = layout.unpack_from
        return int(unpack(self._bytes, start)[0])

    def read_bytes(self, field: str) -> np.ndarray:
        size = self.read_number("I", field)
        self._require(self._offset, size, field)
        start = self._offset
        self._offset += size
        return self._bytes[start : self._offset]

    def read_string(self, field: str) -> str:
        raw = self.read_bytes(field).tobytes()
        if not raw:
            return ""  # some writers leave out the NUL of an empty string
        # A NUL inside would be lost in C, a missing one would read past the end.
        if raw.find(b"\x00") != len(raw) - 1:
            raise self._make_error(
                f"holds a {field} without its one closing NUL: {quote(raw)}", "a CDR string"
            )
        try:
            return raw[:-1].decode()
        except UnicodeDecodeError as error:
            raise self._make_error(
                f"holds a {field} that is not UTF-8: {quote(raw)}", "a UTF-8 string"
            ) from error

    def _require(self, start: int, size: int, field: str) -> None:
        if start + size > len(self._bytes):
            raise self._make_error(
                f"of {len(self._bytes)} bytes ends in its {field}", f"{start + size} bytes or more"
            )

    def _make_error(self, wrong: str, rule: str) -> InputError:
        return InputError.from_parts(
            f"serialized {self._type_name} {wrong}", rule, "check the publisher or the bag"
        )
