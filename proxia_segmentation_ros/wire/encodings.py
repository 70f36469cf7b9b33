"""Convert Image messages to arrays: pixels to RGB, depth to metres.

Sizes are checked before anything is allocated.

Suffixes: H rows, W columns, C channels, S bytes as sent.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.cdr import ImageMessage, view_bytes
from proxia_segmentation_ros.wire.limits import (
    RefusedImage,
    check_rows,
    check_size,
    quote,
)


@dataclass(frozen=True)
class PixelLayout:
    """Bytes per pixel and cv2's conversion to RGB, None if the bytes are RGB already."""

    num_bytes: int
    conversion: int | None
    needs_even_width: bool = False


# OpenCV names a Bayer pattern by the second and third pixel of its second row, ROS by the first
# four pixels: ROS' rggb is OpenCV's BG.
BAYER_CONVERSIONS: dict[str, int] = {
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
}
NV12 = "nv12"
LAYOUTS: dict[str, PixelLayout] = {
    "rgb8": PixelLayout(3, None),
    "bgr8": PixelLayout(3, cv2.COLOR_BGR2RGB),
    "rgba8": PixelLayout(4, cv2.COLOR_RGBA2RGB),
    "bgra8": PixelLayout(4, cv2.COLOR_BGRA2RGB),
    "mono8": PixelLayout(1, cv2.COLOR_GRAY2RGB),
    # The order is not defined; RViz and users of cv_bridge assume BGR.
    "8UC3": PixelLayout(3, cv2.COLOR_BGR2RGB),
    "yuv422": PixelLayout(2, cv2.COLOR_YUV2RGB_UYVY, needs_even_width=True),
    "uyvy": PixelLayout(2, cv2.COLOR_YUV2RGB_UYVY, needs_even_width=True),
    "yuv422_yuy2": PixelLayout(2, cv2.COLOR_YUV2RGB_YUY2, needs_even_width=True),
    "yuyv": PixelLayout(2, cv2.COLOR_YUV2RGB_YUY2, needs_even_width=True),
    NV12: PixelLayout(1, None, needs_even_width=True),
    **{name: PixelLayout(1, conversion) for name, conversion in BAYER_CONVERSIONS.items()},
}

SUPPORTED_ENCODINGS = tuple(LAYOUTS)
SUPPORTED_DEPTH_ENCODINGS = ("16UC1", "32FC1")

ImageFallback = Callable[[ImageMessage], np.ndarray]
"""Decodes an image of an unsupported encoding to rgb_HWC uint8, or raises InputError."""


def decode_image(
    message: ImageMessage, *, max_pixels: int, fallback: ImageFallback | None = None
) -> np.ndarray:
    """Convert an image to RGB, uint8 (H, W, 3), C-contiguous.

    rgb8 without padding is returned as a view of the message's data, read-only if that is.
    `fallback` decodes encodings beyond SUPPORTED_ENCODINGS; it is only called for images within
    the limits.

    Raises:
        RefusedImage: sides under 16 px, more than `max_pixels`, rows or data too short.
        InputError: an unknown encoding, or pixels that don't decode.
    """
    check_size(message.width, message.height, max_pixels=max_pixels)
    layout = LAYOUTS.get(message.encoding)
    if layout is None:
        return _apply_fallback(message, fallback)
    data_S = view_bytes(message.data)
    check_rows(
        len(data_S),
        height=message.height,
        step=message.step,
        min_step=message.width * layout.num_bytes,
        encoding=message.encoding,
    )
    if layout.needs_even_width and message.width % 2:
        raise RefusedImage.from_parts(
            f"{message.encoding} image has an odd width ({message.width}x{message.height})",
            "an even width",
            "check the camera driver",
        )
    size_hw = (message.height, message.width)
    try:
        if message.encoding == NV12:
            return _convert_nv12(data_S, size_hw=size_hw, step=message.step)
        return _convert_packed(data_S, layout, size_hw=size_hw, step=message.step)
    except cv2.error as error:
        raise InputError.from_parts(
            f"{message.encoding} image of {message.width}x{message.height} can't be converted"
            f" ({error})",
            "pixels that OpenCV converts",
            "publish rgb8",
        ) from error


def decode_depth(message: ImageMessage, *, max_pixels: int) -> np.ndarray:
    """Convert a depth image to metres, float32 (H, W); NaN where the depth is unknown.

    16UC1 is millimetres with 0 unknown, 32FC1 metres with 0, negative and non-finite unknown
    (REP 118).

    Raises:
        RefusedImage: sides under 16 px, more than `max_pixels`, rows or data too short.
        InputError: another encoding.
    """
    check_size(message.width, message.height, max_pixels=max_pixels)
    if message.encoding not in SUPPORTED_DEPTH_ENCODINGS:
        raise _make_unknown_encoding_error(message.encoding, SUPPORTED_DEPTH_ENCODINGS)
    is_millimetres = message.encoding == "16UC1"
    dtype = np.dtype(np.uint16 if is_millimetres else np.float32)
    data_S = view_bytes(message.data)
    check_rows(
        len(data_S),
        height=message.height,
        step=message.step,
        min_step=message.width * dtype.itemsize,
        encoding=message.encoding,
    )
    sent_HW: np.ndarray = np.ndarray(
        (message.height, message.width),
        dtype.newbyteorder(">" if message.is_bigendian else "<"),
        data_S,
        strides=(message.step, dtype.itemsize),
    )
    depth_m_HW = sent_HW.astype(np.float32)
    if is_millimetres:
        depth_m_HW *= np.float32(0.001)
    depth_m_HW[~((depth_m_HW > 0) & (depth_m_HW < np.inf))] = np.nan
    return depth_m_HW


def _convert_packed(
    data_S: np.ndarray, layout: PixelLayout, *, size_hw: tuple[int, int], step: int
) -> np.ndarray:
    """Convert rows of `step` bytes to rgb_HWC; tight RGB comes back as a view of `data_S`."""
    height, width = size_hw
    channels = layout.num_bytes
    image_HWC: np.ndarray = np.ndarray(
        (height, width, channels), np.uint8, data_S, strides=(step, channels, 1)
    )
    if layout.conversion is None:
        return np.ascontiguousarray(image_HWC)
    return cv2.cvtColor(image_HWC[..., 0] if channels == 1 else image_HWC, layout.conversion)


def _convert_nv12(data_S: np.ndarray, *, size_hw: tuple[int, int], step: int) -> np.ndarray:
    """Convert a plane of Y and one of interleaved UV at half its height to rgb_HWC.

    Drivers differ: `step` is the bytes of one row of either plane (data of 1.5 * step * height),
    or the mean of both planes, 1.5 * width (data of step * height).

    Raises:
        RefusedImage: an odd height, or data too short for both planes.
    """
    height, width = size_hw
    if height % 2:
        raise RefusedImage.from_parts(
            f"nv12 image has an odd height ({width}x{height})",
            "an even height",
            "check the camera driver",
        )
    rows = height + height // 2
    if len(data_S) < rows * step and 2 * step == 3 * width:
        step = width
    if len(data_S) < rows * step:
        raise RefusedImage.from_parts(
            f"nv12 data is too short ({len(data_S)} bytes)",
            f"at least 1.5 * step * height = {rows * step} bytes",
            "check the camera driver",
        )
    luma_HW: np.ndarray = np.ndarray((height, width), np.uint8, data_S, strides=(step, 1))
    chroma_HWC: np.ndarray = np.ndarray(
        (height // 2, width // 2, 2), np.uint8, data_S, height * step, (step, 2, 1)
    )
    return cv2.cvtColorTwoPlane(luma_HW, chroma_HWC, cv2.COLOR_YUV2RGB_NV12)


def _apply_fallback(message: ImageMessage, fallback: ImageFallback | None) -> np.ndarray:
    if fallback is None:
        raise _make_unknown_encoding_error(message.encoding, SUPPORTED_ENCODINGS)
    check_rows(
        len(view_bytes(message.data)),
        height=message.height,
        step=message.step,
        min_step=message.width,  # no ROS encoding has less than one byte per pixel
        encoding=message.encoding,
    )
    image_HWC = fallback(message)
    if image_HWC.shape != (message.height, message.width, 3) or image_HWC.dtype != np.uint8:
        raise InputError.from_parts(
            f"{quote(message.encoding)} image was decoded to {image_HWC.dtype}"
            f" of shape {image_HWC.shape}",
            f"uint8 of shape {(message.height, message.width, 3)}",
            "publish rgb8",
        )
    return np.ascontiguousarray(image_HWC)


def _make_unknown_encoding_error(encoding: str, known: tuple[str, ...]) -> InputError:
    return InputError.from_parts(
        f"image encoding {quote(encoding)} can't be decoded",
        f"one of {', '.join(known)}",
        "set the camera driver to one of them, or install cv_bridge",
    )
