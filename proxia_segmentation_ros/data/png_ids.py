"""Decode mask files to class ids: the stored palette indices or grey values.

BMP and TIFF are left to `bitmap_ids.py`. OpenCV converts a palette PNG to colours, so it is given
the indices as grey values. It also stretches grey values of 1, 2 and 4 bits to 0..255, which is
undone here.
"""

import cv2
import numpy as np

from proxia_segmentation_ros.data.bitmap_ids import decode_bitmap, is_bitmap
from proxia_segmentation_ros.wire.image_header import PNG_SIGNATURE
from proxia_segmentation_ros.wire.png import decode_png

# Offsets in the file, which starts with the signature, then length, name and content of IHDR:
# width, height, bit depth, colour type.
DEPTH_OFFSET, COLOUR_OFFSET = 24, 25
GREYSCALE, PALETTE = 0, 3


def decode_mask(content: bytes) -> np.ndarray | None:
    """Decode a mask file; return its stored palette indices or grey values.

    Colours keep their channels. Returns None if the file is no PNG, BMP or TIFF, or a truncated one
    of the latter two.

    Raises:
        InputError: a PNG is truncated or damaged, or a TIFF holds several pictures.
    """
    if is_bitmap(content):
        return decode_bitmap(content)
    if not content.startswith(PNG_SIGNATURE):
        return None
    mask = decode_png(content, cv2.IMREAD_UNCHANGED, keep_indices=True)
    depth_bits, colour_type = content[DEPTH_OFFSET], content[COLOUR_OFFSET]
    if colour_type not in (GREYSCALE, PALETTE) or depth_bits >= 8:
        return mask
    ids: np.ndarray = mask // np.uint8(255 // ((1 << depth_bits) - 1))
    return ids
