"""Decodes image messages to arrays: pixels to RGB, depth to metres; limits are checked first.

Suffixes: H rows, W columns, C channels, S bytes as sent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

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
    """How pixels of an encoding stand in a row, and cv2's conversion to RGB.

    `num_channels` of `num_bytes` each; of two bytes the high one is the value. `conversion` is None
    where the values are RGB already.
    """

    num_channels: int
    conversion: int | None
    num_bytes: int = 1
    needs_even_width: bool = False

    @property
    def pixel_bytes(self) -> int:
        """Bytes from one pixel to the next."""
        return self.num_channels * self.num_bytes


@dataclass(frozen=True)
class PlanarLayout:
    """A plane of Y and one of interleaved chroma; a pixel of chroma stands for a square of Y."""

    is_vu: bool
    square_px: int

    @property
    def rows_per_row(self) -> Fraction:
        """Rows of Y that the data of one row of the image take, chroma included."""
        return 1 + Fraction(2, self.square_px**2)


# OpenCV names a Bayer pattern by the second and third pixel of its second row, ROS by the first
# four pixels: ROS' rggb is OpenCV's BG.
_BAYER_PATTERNS = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
BAYER_CONVERSIONS: dict[str, int] = {
    f"bayer_{pattern}{bits}": conversion
    for bits in (8, 16)
    for pattern, conversion in _BAYER_PATTERNS.items()
}
LAYOUTS: dict[str, PixelLayout | PlanarLayout] = {
    "rgb8": PixelLayout(3, None),
    "bgr8": PixelLayout(3, cv2.COLOR_BGR2RGB),
    "rgba8": PixelLayout(4, cv2.COLOR_RGBA2RGB),
    "bgra8": PixelLayout(4, cv2.COLOR_BGRA2RGB),
    "mono8": PixelLayout(1, cv2.COLOR_GRAY2RGB),
    "rgb16": PixelLayout(3, None, num_bytes=2),
    "bgr16": PixelLayout(3, cv2.COLOR_BGR2RGB, num_bytes=2),
    "rgba16": PixelLayout(4, cv2.COLOR_RGBA2RGB, num_bytes=2),
    "bgra16": PixelLayout(4, cv2.COLOR_BGRA2RGB, num_bytes=2),
    "mono16": PixelLayout(1, cv2.COLOR_GRAY2RGB, num_bytes=2),
    # These encodings do not define an order; RViz and users of cv_bridge assume BGR.
    "8UC1": PixelLayout(1, cv2.COLOR_GRAY2RGB),
    "8UC3": PixelLayout(3, cv2.COLOR_BGR2RGB),
    "8UC4": PixelLayout(4, cv2.COLOR_BGRA2RGB),
    "16UC1": PixelLayout(1, cv2.COLOR_GRAY2RGB, num_bytes=2),
    "yuv422": PixelLayout(2, cv2.COLOR_YUV2RGB_UYVY, needs_even_width=True),
    "uyvy": PixelLayout(2, cv2.COLOR_YUV2RGB_UYVY, needs_even_width=True),
    "yuv422_yuy2": PixelLayout(2, cv2.COLOR_YUV2RGB_YUY2, needs_even_width=True),
    "yuyv": PixelLayout(2, cv2.COLOR_YUV2RGB_YUY2, needs_even_width=True),
    "nv12": PlanarLayout(is_vu=False, square_px=2),
    "nv21": PlanarLayout(is_vu=True, square_px=2),
    "nv24": PlanarLayout(is_vu=False, square_px=1),
    **{
        name: PixelLayout(1, conversion, num_bytes=2 if name.endswith("16") else 1)
        for name, conversion in BAYER_CONVERSIONS.items()
    },
}

SUPPORTED_ENCODINGS = tuple(LAYOUTS)
SUPPORTED_DEPTH_ENCODINGS = ("16UC1", "32FC1")

ImageFallback = Callable[[ImageMessage], np.ndarray]
"""Decodes an image of another encoding to rgb_HWC uint8, or raises InputError."""


def decode_image(
    message: ImageMessage, *, max_pixels: int, fallback: ImageFallback | None = None
) -> np.ndarray:
    """Convert an image to RGB, uint8 (H, W, 3), C-contiguous.

    Of 16 bits the upper 8 are taken. Unpadded rgb8 is returned as a view of the message's data:
    read-only if that is, and keeping it alive. `fallback` decodes encodings not in
    SUPPORTED_ENCODINGS; it is only called for images within the limits.

    Raises:
        RefusedImage: sides under 16 px, more than `max_pixels`, rows or data too short.
        InputError: an unknown encoding, or pixels that can't be decoded.
    """
    check_size(message.width, message.height, max_pixels=max_pixels)
    layout = LAYOUTS.get(message.encoding)
    if layout is None:
        return _apply_fallback(message, fallback)
    data_S = view_bytes(message.data)
    min_pixel_bytes = 1 if isinstance(layout, PlanarLayout) else layout.pixel_bytes
    check_rows(
        len(data_S),
        height=message.height,
        step=message.step,
        min_step=message.width * min_pixel_bytes,
        encoding=message.encoding,
    )
    _check_even(message, layout)
    try:
        if isinstance(layout, PlanarLayout):
            return _convert_planar(message, layout, data_S)
        return _convert_packed(message, layout, data_S)
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


def _check_even(message: ImageMessage, layout: PixelLayout | PlanarLayout) -> None:
    """Raise RefusedImage where pixels share chroma and one of them is missing."""
    is_planar = isinstance(layout, PlanarLayout) and layout.square_px == 2
    is_packed = isinstance(layout, PixelLayout) and layout.needs_even_width
    for side, length in (("width", message.width), ("height", message.height)):
        if length % 2 and (is_planar or (is_packed and side == "width")):
            raise RefusedImage.from_parts(
                f"{message.encoding} image has an odd {side} ({message.width}x{message.height})",
                f"an even {side}",
                "check the camera driver",
            )


def _convert_packed(message: ImageMessage, layout: PixelLayout, data_S: np.ndarray) -> np.ndarray:
    """Convert rows of `step` bytes to rgb_HWC; unpadded rgb8 is returned as a view of `data_S`."""
    # Of a little-endian number the last byte is the high one.
    high_byte = layout.num_bytes - 1 if not message.is_bigendian else 0
    values_HWC: np.ndarray = np.ndarray(
        (message.height, message.width, layout.num_channels),
        np.uint8,
        data_S,
        high_byte,
        (message.step, layout.pixel_bytes, layout.num_bytes),
    )
    if layout.num_bytes > 1 or layout.conversion is None:
        values_HWC = np.ascontiguousarray(values_HWC)
    if layout.conversion is None:
        return values_HWC
    is_single = layout.num_channels == 1
    return cv2.cvtColor(values_HWC[..., 0] if is_single else values_HWC, layout.conversion)


def _convert_planar(message: ImageMessage, layout: PlanarLayout, data_S: np.ndarray) -> np.ndarray:
    """Convert a plane of Y and one of interleaved chroma to rgb_HWC.

    Drivers differ: `step` is the bytes of one row of Y (data of 1.5 * step * height for chroma of
    half the size, 3 * step * height for chroma of full size), or the mean of both planes (data of
    step * height).

    Raises:
        RefusedImage: data too short for both planes, or so long that rows may stand between them.
    """
    height, width, step = message.height, message.width, message.step
    rows = layout.rows_per_row * height
    if len(data_S) < rows * step and step == layout.rows_per_row * width:
        step = width
    _check_planes(message, len(data_S), int(rows * step), step)
    luma_HW: np.ndarray = np.ndarray((height, width), np.uint8, data_S, strides=(step, 1))
    chroma_step = 2 * step // layout.square_px
    chroma_HWC: np.ndarray = np.ndarray(
        (height // layout.square_px, width // layout.square_px, 2),
        np.uint8,
        data_S,
        height * step,
        (chroma_step, 2, 1),
    )
    if layout.square_px == 2:
        code = cv2.COLOR_YUV2RGB_NV21 if layout.is_vu else cv2.COLOR_YUV2RGB_NV12
        return cv2.cvtColorTwoPlane(luma_HW, chroma_HWC, code)
    # OpenCV has no chroma of full size beside Y: each pixel becomes a pair that shares chroma.
    pairs_HWC = np.stack((chroma_HWC[..., 0], luma_HW, chroma_HWC[..., 1], luma_HW), 2)
    doubled_HWC = cv2.cvtColor(pairs_HWC.reshape(height, 2 * width, 2), cv2.COLOR_YUV2RGB_UYVY)
    return np.ascontiguousarray(doubled_HWC[:, ::2])


def _check_planes(message: ImageMessage, num_bytes: int, expected: int, step: int) -> None:
    """Raise RefusedImage unless the data are those of both planes, with a bit of padding behind.

    Buffers of hardware decoders have rows of padding between the planes, of which the message says
    nothing: chroma would be read from the wrong place, and the image have other colours.
    """
    if num_bytes < expected or num_bytes >= expected + 2 * step:
        word = "short" if num_bytes < expected else "long"
        raise RefusedImage.from_parts(
            f"{message.encoding} data of {message.width}x{message.height} with step {message.step}"
            f" is too {word} ({num_bytes} bytes)",
            f"{expected} bytes, which are rows of {step} bytes of both planes without rows between",
            "let the driver crop its buffer to the image, or publish bgr8",
        )


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
