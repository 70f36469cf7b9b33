"""Decodes PNG files strictly, without words of libpng on stderr.

The pixels are inflated and checked here, since libpng prints what it finds wrong. OpenCV decodes
them from a file that holds nothing else: no colour profile, text or animation.
"""

import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.image_header import (
    PNG_CHANNELS,
    PNG_SIGNATURE,
    read_header,
    walk_png,
)

_GREYSCALE, _RGB, _PALETTE = 0, 2, 3
_NUM_FILTERS = 5
_MAX_SURPLUS_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 20  # OpenCV reads chunks of at most 8 MB
# x0, y0, step of x, step of y (W3C PNG 8.2)
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


@dataclass(frozen=True)
class _Pass:
    """Rows of one size in the inflated data, each led by the byte of its filter."""

    num_rows: int
    row_bytes: int


def decode_png(data: bytes, mode: int, *, keep_indices: bool = False) -> np.ndarray:
    """Decode a PNG file as `cv2.imdecode` does in a mode; `keep_indices` gives those of a palette.

    Animations give their still picture. Data behind the pixels are ignored.

    Raises:
        InputError: the file is truncated or damaged.
    """
    header = read_header(data)
    content = _read_content(data)
    depth_bits, color_type, interlacing = data[24], data[25], data[28]
    bits_per_pixel = depth_bits * PNG_CHANNELS[color_type]
    passes = _list_passes(header.width, header.height, bits_per_pixel, bool(interlacing))
    pixels = _inflate(content[b"IDAT"], sum(each.num_rows * each.row_bytes for each in passes))
    _check_filters(pixels, passes)
    if color_type == _PALETTE and keep_indices:
        color_type = _GREYSCALE
    chunks = [(b"IHDR", data[16:25] + bytes((color_type, 0, 0, interlacing)))]
    if color_type == _PALETTE:
        chunks.append((b"PLTE", _read_palette(content, depth_bits)))
    if color_type == _RGB and len(content.get(b"tRNS", b"")) == 6:
        chunks.append((b"tRNS", content[b"tRNS"]))
    stored = zlib.compress(pixels, 0)
    del pixels
    for start in range(0, len(stored), _CHUNK_BYTES):
        chunks.append((b"IDAT", stored[start : start + _CHUNK_BYTES]))
    return _decode(_write(chunks), mode, len(data))


def _read_content(data: bytes) -> dict[bytes, bytes]:
    """Return what the chunks of a name hold, together."""
    parts: dict[bytes, list[bytes]] = {b"IDAT": []}
    for name, start, end in walk_png(data):
        if name in {b"IDAT", b"PLTE", b"tRNS"}:
            parts.setdefault(name, []).append(data[start:end])
        elif not name[0] & 0x20 and name not in {b"IHDR", b"IEND"}:
            raise _make_error(f"its chunk {name!r} is unknown and must not be ignored")
    return {name: b"".join(contents) for name, contents in parts.items()}


def _list_passes(width: int, height: int, bits_per_pixel: int, interlacing: bool) -> list[_Pass]:
    grids = _ADAM7 if interlacing else ((0, 0, 1, 1),)
    passes = []
    for x0, y0, x_step, y_step in grids:
        columns, rows = -(-(width - x0) // x_step), -(-(height - y0) // y_step)
        if columns > 0 and rows > 0:
            passes.append(_Pass(rows, 1 + (columns * bits_per_pixel + 7) // 8))
    return passes


def _inflate(compressed: bytes, num_bytes: int) -> bytes:
    """Return so many bytes; a few more are ignored, as decoders do.

    Raises:
        InputError: there are fewer or far more, or the checksum is wrong.
    """
    stream = zlib.decompressobj()
    try:
        pixels = stream.decompress(compressed, num_bytes)
        if not stream.eof:
            stream.decompress(stream.unconsumed_tail, _MAX_SURPLUS_BYTES)
    except zlib.error as error:
        raise _make_error(str(error)) from error
    if len(pixels) < num_bytes or not stream.eof:
        raise _make_error(f"its pixels do not end after {num_bytes} bytes")
    return pixels


def _check_filters(pixels: bytes, passes: list[_Pass]) -> None:
    start = 0
    for each in passes:
        end = start + each.num_rows * each.row_bytes
        filters = np.frombuffer(pixels, np.uint8, end - start, start)[:: each.row_bytes]
        if filters.max() >= _NUM_FILTERS:
            raise _make_error(f"a row has the filter {filters.max()}")
        start = end


def _read_palette(content: dict[bytes, bytes], depth_bits: int) -> bytes:
    """Return the palette, filled up with black for indices that it does not have."""
    palette = content.get(b"PLTE", b"")
    num_bytes = 3 << depth_bits
    if not 3 <= len(palette) <= num_bytes or len(palette) % 3:
        raise _make_error(f"its palette has {len(palette)} bytes")
    return palette.ljust(num_bytes, b"\0")


def _write(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [PNG_SIGNATURE]
    for name, content in (*chunks, (b"IEND", b"")):
        checksum = zlib.crc32(content, zlib.crc32(name))
        parts += [struct.pack(">I", len(content)), name, content, struct.pack(">I", checksum)]
    return b"".join(parts)


def _decode(content: bytes, mode: int, num_bytes: int) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), mode)
    except cv2.error as error:
        raise _make_error(error.err) from error
    if image is None:
        raise _make_error(f"OpenCV refuses its {num_bytes} bytes")
    return image


def _make_error(reason: str) -> InputError:
    return InputError.from_parts(
        f"PNG can't be decoded ({reason})", "an intact file", "check the publisher and the network"
    )
