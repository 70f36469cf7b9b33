"""Palette PNGs read as their indices: a mask's ids, not the colours that a viewer shows.

OpenCV turns such a file into colours. A PNG whose header says greyscale in place of palette
holds the same bytes as grey values, so changing the header gives the ids at full speed.
"""

import struct
import zlib

import cv2
import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Signature, then length, name and content of IHDR: width, height, depth, colour type.
DEPTH_OFFSET, COLOUR_OFFSET, HEADER_END = 24, 25, 33
GREYSCALE, PALETTE = 0, 3


def decode_mask(content: bytes) -> np.ndarray | None:
    """Decode an image file; a palette PNG as its indices. None when it is no image."""
    if not content:
        return None
    if not _has_palette(content):
        return _decode(content)
    mask = _decode(_as_greyscale(content))
    depth_bits = content[DEPTH_OFFSET]
    if mask is None or depth_bits == 8:
        return mask
    # Grey values of fewer bits are spread over 0..255.
    indices: np.ndarray = mask // np.uint8(255 // ((1 << depth_bits) - 1))
    return indices


def _decode(content: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def _has_palette(content: bytes) -> bool:
    return (
        len(content) > HEADER_END
        and content.startswith(SIGNATURE)
        and content[COLOUR_OFFSET] == PALETTE
    )


def _as_greyscale(content: bytes) -> bytes:
    """Return the file with another colour type, and without the chunks that fit it no more."""
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
