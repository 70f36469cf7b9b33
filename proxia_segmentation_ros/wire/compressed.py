"""Decode compressed images (JPEG and PNG) to RGB."""

import cv2
import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.cdr import Buffer, CompressedImageMessage, view_bytes
from proxia_segmentation_ros.wire.encodings import BAYER_CONVERSIONS
from proxia_segmentation_ros.wire.image_header import ImageHeader, check_whole, read_header
from proxia_segmentation_ros.wire.limits import check_size, quote


def read_encoded_size(data: Buffer) -> tuple[int, int]:
    """Return (height, width) from the header of a JPEG or PNG file, without decoding it.

    Raises:
        InputError: neither JPEG nor PNG, or truncated before the size.
    """
    header = read_header(bytes(data))
    return header.height, header.width


def decode_compressed(message: CompressedImageMessage, *, max_pixels: int) -> np.ndarray:
    """Decode a JPEG or PNG to RGB, uint8 (H, W, 3), C-contiguous and as stored.

    EXIF orientation is ignored, since CameraInfo and depth ignore it too. The file format is read
    from the data; `message.format` only tells whether image_transport swapped the channels before
    encoding, and whether the image is a raw Bayer mosaic.

    Raises:
        RefusedImage: the header's size breaks the limits; nothing was decoded.
        InputError: not JPEG or PNG, truncated or corrupt.
    """
    data = bytes(view_bytes(message.data))
    header = read_header(data)
    check_size(header.width, header.height, max_pixels=max_pixels)
    check_whole(data)
    original, compressed_as = _split_format(message.format)
    if original in BAYER_CONVERSIONS and header.num_channels == 1:
        mosaic_HW = _decode(data, header, cv2.IMREAD_GRAYSCALE)
        return cv2.cvtColor(mosaic_HW, BAYER_CONVERSIONS[original])
    image_HWC = _decode(data, header, cv2.IMREAD_COLOR)
    if "compressed rgb" in compressed_as:
        return image_HWC
    return cv2.cvtColor(image_HWC, cv2.COLOR_BGR2RGB, dst=image_HWC)


def _split_format(text: str) -> tuple[str, str]:
    """Split image_transport's `<encoding>; <codec> compressed <encoding given to the codec>`."""
    original, _, compressed_as = text.partition(";")
    return original.strip(), compressed_as


def _decode(data: bytes, header: ImageHeader, color_mode: int) -> np.ndarray:
    remedy = "check the publisher and the network"
    try:
        image = cv2.imdecode(
            np.frombuffer(data, np.uint8), color_mode | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise InputError.from_parts(
            f"{header.file_format} of {len(data)} bytes can't be decoded ({quote(str(error))})",
            "an intact file",
            remedy,
        ) from error
    if image is None:
        raise InputError.from_parts(
            f"{header.file_format} of {len(data)} bytes can't be decoded", "an intact file", remedy
        )
    if image.shape[:2] != (header.height, header.width):
        raise InputError.from_parts(
            f"{header.file_format} was decoded to {image.shape[1]}x{image.shape[0]}",
            f"{header.width}x{header.height} as its header says",
            remedy,
        )
    return image
