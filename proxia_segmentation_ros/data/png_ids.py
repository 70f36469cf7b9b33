"""Decode mask files to class ids: the stored palette indices or grey values.

BMP and TIFF are left to `bitmap_ids.py`. OpenCV converts a palette PNG to colours. With the colour
type in the header changed from palette to greyscale, it decodes the same bytes as grey values,
which are the palette indices. It also stretches grey values of 1, 2 and 4 bits to 0..255, which is
undone here.
"""

import struct
import zlib

import cv2
import numpy as np

from proxia_segmentation_ros.data.bitmap_ids import decode_bitmap, is_bitmap

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Offsets in the file, which starts with the signature, then length, name and content of IHDR:
# width, height, bit depth, colour type.
DEPTH_OFFSET, COLOUR_OFFSET, HEADER_END = 24, 25, 33
GREYSCALE, PALETTE = 0, 3


def decode_mask(content: bytes) -> np.ndarray | None:
    """Decode a mask file; return its stored palette indices or grey values.

    Colours keep their channels. Returns None if the file is truncated or no PNG, BMP or TIFF.

    Raises:
        InputError: a TIFF holds several pictures.
    """
    if is_bitmap(content):
        return decode_bitmap(content)
    if len(content) <= HEADER_END or not content.startswith(SIGNATURE):
        return None
    depth_bits, colour_type = content[DEPTH_OFFSET], content[COLOUR_OFFSET]
    if colour_type not in (GREYSCALE, PALETTE):
        return _decode(content)
    mask = _decode(_as_greyscale(content))
    if mask is None or depth_bits >= 8:
        return mask
    ids: np.ndarray = mask // np.uint8(255 // ((1 << depth_bits) - 1))
    return ids


def _decode(content: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def _as_greyscale(content: bytes) -> bytes:
    """Return the PNG with colour type greyscale, without chunks that could change its values."""
    header = bytearray(content[12 : HEADER_END - 4])
    header[COLOUR_OFFSET - 12] = GREYSCALE
    parts = [content[:12], bytes(header), struct.pack(">I", zlib.crc32(header))]
    start = HEADER_END
    while start + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, start)
        end = start + 12 + length
        if content[start + 4 : start + 8] in (b"IDAT", b"IEND"):
            parts.append(content[start:end])
        start = end
    return b"".join(parts)
