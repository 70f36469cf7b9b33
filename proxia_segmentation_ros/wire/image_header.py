"""Reads the size of JPEG and PNG files from their headers, and detects truncated files.

Decoders allocate an image of any size and decode any number of scans. So size, scans and
completeness are checked first, by reading markers and chunks (ITU T.81 annex B, W3C PNG 5).
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from proxia_segmentation_ros.errors import InputError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"

# As in libjpeg, bytes between segments and fill bytes before a marker are skipped.
_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
# The same inside a scan, where restart markers and escaped FF belong to the data.
_MARKER_BEHIND_SCAN = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
START_OF_SCAN = 0xDA
END_OF_IMAGE = 0xD9
# SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC), which share their range.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
# Far more than colour profiles and metadata take; walking through millions takes seconds.
_MAX_SEGMENTS = 10_000
_MAX_CHUNKS = 100_000
# By colour type: channels, a palette counting as one, and bits of a sample.
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


Segment = tuple[int, int, int]
"""Marker code of a segment of a JPEG, offset of the marker, and offset behind the segment."""


@dataclass(frozen=True)
class ImageHeader:
    """Header of a JPEG or PNG file; `num_channels` includes alpha and is 1 for a palette."""

    file_format: Literal["jpeg", "png"]
    width: int
    height: int
    num_channels: int


def read_header(data: bytes) -> ImageHeader:
    """Read the size of a JPEG or PNG file from its header alone.

    Raises:
        InputError: neither format, or the file is truncated before the size.
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
    """Raise InputError if the JPEG or PNG file is truncated, or a PNG's checksum is wrong."""
    if data.startswith(PNG_SIGNATURE):
        for _ in walk_png(data):
            pass
        return
    _, scan_offset = _read_jpeg(data)
    # FF is always escaped inside a scan, so these bytes can only be the end of the image. Some
    # cameras append padding to it.
    if data.rfind(b"\xff\xd9", scan_offset) < 0:
        raise _make_truncated_error("JPEG", len(data), "the end-of-image marker FF D9")


def count_scans(data: bytes, *, stop_at: int) -> int:
    """Count the scans of a JPEG file up to `stop_at`; a PNG file has one.

    Raises:
        InputError: the file is broken before its first scan.
    """
    if data.startswith(PNG_SIGNATURE):
        return 1
    _, offset = _read_jpeg(data)
    # Quicker than the walk, and never too few: other segments may hold these bytes, too.
    if 1 + data.count(b"\xff\xda", offset) < stop_at:
        return 1 + data.count(b"\xff\xda", offset)
    num_scans, num_segments = 1, 0
    while num_scans < stop_at and num_segments < _MAX_SEGMENTS:
        found = _MARKER_BEHIND_SCAN.search(data, offset)
        if found is None or found[1][0] == END_OF_IMAGE:
            break
        offset, num_segments = found.end(), num_segments + 1
        if found[1][0] not in _WITHOUT_LENGTH:
            offset += int.from_bytes(data[offset : offset + 2], "big")
        num_scans += found[1][0] == START_OF_SCAN
    return num_scans


def walk_scans(data: bytes) -> Iterator[tuple[list[Segment], int, int]]:
    """Yield for each scan the segments before it, its own as the last, and start and end of data.

    Raises:
        InputError: the file is broken before a scan.
    """
    end: int | None = 2
    while end is not None:
        segments = list(walk_jpeg(data, end))
        start = segments[-1][2]
        found = _MARKER_BEHIND_SCAN.search(data, start)
        yield segments, start, found.start() if found else len(data)
        end = found.start() if found and found[1][0] != END_OF_IMAGE else None


def walk_jpeg(data: bytes, offset: int = 2) -> Iterator[Segment]:
    """Yield the segments from an offset up to the next scan.

    Bytes between the segments belong to none, as in libjpeg.

    Raises:
        InputError: the file is broken before that scan.
    """
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, offset)
        if found is None:
            raise _make_truncated_error("JPEG", len(data), "a start-of-scan marker")
        marker, offset = found[1][0], found.end()
        if marker not in _WITHOUT_LENGTH:
            offset += 2 + len(_read_jpeg_segment(data, marker, offset))
        yield marker, found.end() - 2, offset
        if marker == START_OF_SCAN:
            return
    raise InputError.from_parts(
        f"JPEG has more than {_MAX_SEGMENTS} segments before its first scan",
        "a picture",
        "check the publisher",
    )


def walk_png(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the content of each chunk, checksums checked, up to IEND.

    Raises:
        InputError: the file is truncated, or a checksum is wrong.
    """
    offset = len(PNG_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if offset + 12 > len(data):
            raise _make_truncated_error("PNG", len(data), "chunks up to IEND")
        length, name = struct.unpack_from(">I4s", data, offset)
        end = offset + 8 + length
        if end + 4 > len(data):
            raise _make_truncated_error("PNG", len(data), f"all of the chunk {name!r}")
        # Decoders differ in which checksum errors they report, so check here.
        if zlib.crc32(data[offset + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise InputError.from_parts(
                f"PNG chunk {name!r} at byte {offset} is corrupt",
                "bytes that fit their checksum",
                "check the publisher",
            )
        yield name, offset + 8, end
        if name == b"IEND":
            return
        offset = end + 4
    raise InputError.from_parts(
        f"PNG has more than {_MAX_CHUNKS} chunks", "a picture", "check the publisher"
    )


def _read_jpeg(data: bytes) -> tuple[ImageHeader, int]:
    """Return the header and the offset of the first scan's data."""
    header: ImageHeader | None = None
    end = 0
    for marker, offset, end in walk_jpeg(data):
        if marker in _START_OF_FRAME and header is None:
            header = _parse_start_of_frame(data[offset + 4 : end])
    if header is None:
        raise InputError.from_parts(
            "JPEG has a scan before any frame header",
            "a start-of-frame marker first",
            "check the publisher",
        )
    return header, end


def _read_jpeg_segment(data: bytes, marker: int, offset: int) -> bytes:
    if marker == END_OF_IMAGE:
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
    length, name, width, height, depth_bits, color_type = struct.unpack_from(">I4sIIBB", data, 8)
    num_channels = PNG_CHANNELS.get(color_type)
    methods = data[26], data[27], data[28]
    is_known = depth_bits in _PNG_DEPTHS.get(color_type, ()) and methods in ((0, 0, 0), (0, 0, 1))
    if length != 13 or name != b"IHDR" or num_channels is None or not is_known:
        raise InputError.from_parts(
            f"PNG header is broken ({data[8:33].hex(' ')})",
            "an IHDR chunk of 13 bytes",
            "check the publisher",
        )
    return ImageHeader("png", width, height, num_channels)


def _make_truncated_error(file_format: str, num_bytes: int, rule: str) -> InputError:
    return InputError.from_parts(
        f"{file_format} of {num_bytes} bytes is truncated",
        rule,
        "check the publisher and the network",
    )
