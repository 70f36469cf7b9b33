"""Read the size of JPEG and PNG files from their headers, and check for truncation.

cv2 allocates before the size can be checked, and decodes a truncated JPEG to grey without an error.
So markers and chunks are read here (ITU T.81 annex B, W3C PNG 5).
"""

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Literal

from proxia_segmentation_ros.errors import InputError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"

# Like libjpeg, skips bytes between segments and fill bytes before a marker.
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
# SOF0..SOF15, without DHT (C4), JPG (C8) and DAC (CC) in the same range.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True)
class ImageHeader:
    """Header of a JPEG or PNG file; `num_channels` includes alpha, a palette counts as one."""

    file_format: Literal["jpeg", "png"]
    width: int
    height: int
    num_channels: int


def read_header(data: bytes) -> ImageHeader:
    """Read the size of a JPEG or PNG file from its header alone.

    Raises:
        InputError: neither format, or truncated before the size.
    """
    if data.startswith(JPEG_SIGNATURE):
        return _read_jpeg(data)[0]
    if data.startswith(PNG_SIGNATURE):
        return _read_png(data)
    raise InputError.from_parts(
        f"compressed image starts with {data[:8].hex(' ') or 'nothing'}",
        "a JPEG or PNG file",
        "set the publisher to jpeg or png",
    )


def check_whole(data: bytes) -> None:
    """Raise InputError if the JPEG or PNG file is truncated or a PNG chunk is corrupt."""
    if data.startswith(PNG_SIGNATURE):
        _check_png_chunks(data)
        return
    _, scan_offset = _read_jpeg(data)
    # FF is always escaped within a scan, so this can only be the end of the image. Some cameras
    # send padding after it.
    if data.rfind(b"\xff\xd9", scan_offset) < 0:
        raise _make_truncated_error("JPEG", len(data), "the end-of-image marker FF D9")


def _read_jpeg(data: bytes) -> tuple[ImageHeader, int]:
    """Return the header and the offset of the first scan's data."""
    header: ImageHeader | None = None
    offset = 2
    while True:
        found = _MARKER.search(data, offset)
        if found is None:
            raise _make_truncated_error("JPEG", len(data), "a start-of-scan marker")
        marker, offset = found[1][0], found.end()
        if marker in _WITHOUT_LENGTH:
            continue
        segment = _read_jpeg_segment(data, marker, offset)
        if marker in _START_OF_FRAME and header is None:
            header = _parse_start_of_frame(segment)
        offset += 2 + len(segment)
        if marker == _START_OF_SCAN:
            if header is None:
                raise InputError.from_parts(
                    "JPEG has a scan before any frame header",
                    "a start-of-frame marker first",
                    "check the publisher",
                )
            return header, offset


def _read_jpeg_segment(data: bytes, marker: int, offset: int) -> bytes:
    if marker == _END_OF_IMAGE:
        raise _make_truncated_error("JPEG", len(data), "a scan before the end of the image")
    length_bytes = data[offset : offset + 2]
    length = int.from_bytes(length_bytes, "big")
    if len(length_bytes) < 2 or offset + length > len(data):
        raise _make_truncated_error("JPEG", len(data), f"all of the segment FF {marker:02X}")
    if length < 2:
        raise InputError.from_parts(
            f"JPEG segment FF {marker:02X} has length {length}", "at least 2", "check the publisher"
        )
    return data[offset + 2 : offset + length]


def _parse_start_of_frame(segment: bytes) -> ImageHeader:
    if len(segment) < 6:
        raise InputError.from_parts(
            f"JPEG frame header has {len(segment)} bytes", "at least 6", "check the publisher"
        )
    height, width, num_channels = struct.unpack_from(">HHB", segment, 1)
    return ImageHeader("jpeg", width, height, num_channels)


def _read_png(data: bytes) -> ImageHeader:
    if len(data) < 33:
        raise _make_truncated_error("PNG", len(data), "33 bytes of signature and header")
    length, name, width, height, _, color_type = struct.unpack_from(">I4sIIBB", data, 8)
    num_channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(color_type)
    if length != 13 or name != b"IHDR" or num_channels is None:
        raise InputError.from_parts(
            f"PNG header is broken ({data[8:33].hex(' ')})",
            "an IHDR chunk of 13 bytes",
            "check the publisher",
        )
    return ImageHeader("png", width, height, num_channels)


def _check_png_chunks(data: bytes) -> None:
    offset = len(PNG_SIGNATURE)
    while True:
        if offset + 12 > len(data):
            raise _make_truncated_error("PNG", len(data), "chunks up to IEND")
        length, name = struct.unpack_from(">I4s", data, offset)
        end = offset + 8 + length
        if end + 4 > len(data):
            raise _make_truncated_error("PNG", len(data), f"all of the chunk {name!r}")
        # Some decoders ignore checksums, so a corrupt image could go unnoticed.
        if zlib.crc32(data[offset + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise InputError.from_parts(
                f"PNG chunk {name!r} at byte {offset} is corrupt",
                "bytes that fit their checksum",
                "check the publisher",
            )
        if name == b"IEND":
            return
        offset = end + 4


def _make_truncated_error(file_format: str, num_bytes: int, rule: str) -> InputError:
    return InputError.from_parts(
        f"{file_format} of {num_bytes} bytes is truncated",
        rule,
        "check the publisher and the network",
    )
