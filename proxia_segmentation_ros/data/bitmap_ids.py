"""Decode BMP and TIFF masks to class ids: the stored palette indices or grey values.

OpenCV converts palettes to colours, and stretches grey values of 1 bit to 0 and 255.
"""

import io
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from proxia_segmentation_ros.errors import InputError

BMP_SIGNATURE = b"BM"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PHOTOMETRIC, _WHITE_IS_ZERO, _BITS = 262, 0, 258


def is_bitmap(content: bytes) -> bool:
    """Whether the file is a BMP or TIFF by its first bytes."""
    return content.startswith((BMP_SIGNATURE, *TIFF_SIGNATURES))


def decode_bitmap(content: bytes) -> np.ndarray | None:
    """Return the ids of a BMP or TIFF, uint8 or uint16 (H, W), or its colours (H, W, C).

    Returns None if it can't be decoded.

    Raises:
        InputError: a TIFF holds several pictures.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("BMP", "TIFF")) as picture:
            pages = getattr(picture, "n_frames", 1)
            values = _read_values(picture) if pages == 1 else None
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError):
        return None
    if values is None:
        raise InputError.from_parts(
            f"TIFF holds {pages} pictures", "one, whose pixels are ids", "save the right one alone"
        )
    return values


def _read_values(picture: Image.Image) -> np.ndarray:
    tags: Any = picture.tag_v2 if isinstance(picture, TiffImagePlugin.TiffImageFile) else {}
    bits = int(tags.get(_BITS, (8,))[0])
    is_inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    values = np.asarray(picture)
    if picture.mode == "1":
        return values.astype(np.uint8) ^ np.uint8(is_inverted)
    if picture.mode == "L":
        # Pillow inverts values whose zero is white, and stretches those of 2 and 4 bits.
        stored: np.ndarray = (255 - values if is_inverted else values) // (255 // (2**bits - 1))
        return stored
    return values.astype(values.dtype.newbyteorder("=")) if values.dtype.kind == "u" else values
