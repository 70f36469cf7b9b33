"""Decodes JPEG and PNG images to RGB, and image files of other formats."""

import struct
import warnings

import cv2
import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.cdr import Buffer, CompressedImageMessage, view_bytes
from proxia_segmentation_ros.wire.encodings import BAYER_CONVERSIONS
from proxia_segmentation_ros.wire.image_header import (
    JPEG_SIGNATURE,
    PNG_SIGNATURE,
    check_whole,
    count_scans,
    read_header,
    walk_jpeg,
    walk_png,
)
from proxia_segmentation_ros.wire.jpeg import decode_jpeg
from proxia_segmentation_ros.wire.limits import RefusedImage, check_size, find_max_scans
from proxia_segmentation_ros.wire.png import decode_png

# OpenCV's own limit, for files that a user names.
MAX_FILE_PIXELS = 1 << 30
_EXIF = b"Exif\0\0"


def read_encoded_size(data: Buffer) -> tuple[int, int]:
    """Return (height, width) from the header of a JPEG or PNG file, without decoding it.

    Raises:
        InputError: the data is neither format, or is truncated before the size.
    """
    header = read_header(bytes(data))
    return header.height, header.width


def decode_compressed(message: CompressedImageMessage, *, max_pixels: int) -> np.ndarray:
    """Decode a JPEG or PNG to RGB, uint8 (H, W, 3), C-contiguous.

    The EXIF orientation is ignored, since CameraInfo and depth do not follow it. The file format is
    read from the data. `message.format` is only used for what the file can't show: channels that
    image_transport swapped before encoding, and raw Bayer mosaics. Of 16 bits the upper 8 count.

    Raises:
        RefusedImage: the size in the header or the number of scans is out of limits; nothing was
            decoded.
        InputError: not JPEG or PNG, truncated or corrupt.
    """
    data = bytes(view_bytes(message.data))
    header = read_header(data)
    check_size(header.width, header.height, max_pixels=max_pixels)
    _check_scans(data, header.width * header.height, max_pixels)
    original, compressed_as = _split_format(message.format)
    if original in BAYER_CONVERSIONS and header.num_channels == 1:
        return cv2.cvtColor(_decode(data, is_grey=True), BAYER_CONVERSIONS[original])
    image_HWC = _decode(data)
    if "compressed rgb" in compressed_as:
        return cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR, dst=image_HWC)
    return image_HWC


def decode_image_file(content: bytes, *, as_stored: bool = True) -> np.ndarray:
    """Decode an image file of any format that OpenCV reads to RGB, uint8 (H, W, 3), C-contiguous.

    JPEG and PNG are decoded as strictly as a camera's. The EXIF orientation is applied unless
    `as_stored`.

    Raises:
        InputError: the file is of no known format, truncated, damaged or too large.
    """
    if not content.startswith((JPEG_SIGNATURE, PNG_SIGNATURE)):
        return _decode_other_format(content, as_stored=as_stored)
    header = read_header(content)
    if not 0 < header.width * header.height <= MAX_FILE_PIXELS:
        raise InputError.from_parts(
            f"image has {header.width}x{header.height} pixels",
            f"1 to {MAX_FILE_PIXELS} pixels",
            "shrink the image",
        )
    _check_scans(content, header.width * header.height, MAX_FILE_PIXELS)
    image_HWC = _decode(content)
    return image_HWC if as_stored else _turn_upright(image_HWC, content)


def _split_format(text: str) -> tuple[str, str]:
    """Split image_transport's `<encoding>; <codec> compressed <encoding given to the codec>`."""
    original, _, compressed_as = text.partition(";")
    return original.strip(), compressed_as


def _check_scans(data: bytes, num_pixels: int, max_pixels: int) -> None:
    allowed = find_max_scans(num_pixels, max_pixels=max_pixels)
    if count_scans(data, stop_at=allowed + 1) > allowed:
        raise RefusedImage.from_parts(
            f"JPEG of {num_pixels} pixels has more than {allowed} scans",
            "about 10 in a progressive JPEG",
            "check the publisher, or send baseline JPEG",
        )


def _decode(data: bytes, *, is_grey: bool = False) -> np.ndarray:
    """Decode a JPEG or PNG to RGB (H, W, 3), or to grey (H, W)."""
    if data.startswith(JPEG_SIGNATURE):
        check_whole(data)
        image_HWC = decode_jpeg(data, is_grey=is_grey)
        return image_HWC[..., 0] if is_grey else image_HWC
    mode = cv2.IMREAD_GRAYSCALE if is_grey else cv2.IMREAD_COLOR
    image = decode_png(data, mode | cv2.IMREAD_IGNORE_ORIENTATION)
    return image if is_grey else cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def _decode_other_format(content: bytes, *, as_stored: bool) -> np.ndarray:
    mode = cv2.IMREAD_COLOR | (cv2.IMREAD_IGNORE_ORIENTATION if as_stored else 0)
    reason = "no format that OpenCV reads, or a broken file"
    image_bgr_HWC = None
    try:
        if content:
            image_bgr_HWC = cv2.imdecode(np.frombuffer(content, np.uint8), mode)
    except cv2.error as error:
        reason = error.err
    if image_bgr_HWC is None:
        raise InputError.from_parts(
            f"{len(content)} bytes can't be decoded ({reason})", "a whole image", "check the file"
        )
    return cv2.cvtColor(image_bgr_HWC, cv2.COLOR_BGR2RGB)


def _turn_upright(image_HWC: np.ndarray, content: bytes) -> np.ndarray:
    """Turn and mirror a JPEG's or PNG's pixels by its EXIF orientation."""
    orientation = _read_orientation(content)
    if orientation in {5, 6, 7, 8}:
        image_HWC = image_HWC.transpose(1, 0, 2)
    if orientation in {2, 3, 6, 7}:
        image_HWC = image_HWC[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        image_HWC = image_HWC[::-1]
    return np.ascontiguousarray(image_HWC)


def _read_orientation(content: bytes) -> int:
    """Return the EXIF orientation, 1 (upright) where there is none that can be read."""
    from PIL import ExifTags, Image

    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of corrupt data
            exif.load(_find_exif(content))
            orientation = exif.get(ExifTags.Base.Orientation, 1)
    except (ValueError, SyntaxError, TypeError, KeyError, OSError, struct.error):
        return 1
    return orientation if isinstance(orientation, int) else 1


def _find_exif(content: bytes) -> bytes:
    if content.startswith(PNG_SIGNATURE):
        pieces = [content[start:end] for name, start, end in walk_png(content) if name == b"eXIf"]
        return _EXIF + pieces[0] if pieces else b""
    segments = [content[offset + 4 : end] for _, offset, end in walk_jpeg(content)]
    return next((segment for segment in segments if segment.startswith(_EXIF)), b"")
