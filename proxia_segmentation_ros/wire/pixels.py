"""Pixel layouts of sensor_msgs encodings and their conversion to RGB.

Suffixes: H rows, W columns, C channels, S bytes of a row as sent.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from proxia_segmentation_ros.wire.limits import RefusedImage


@dataclass(frozen=True)
class PixelLayout:
    """Bytes per pixel and cv2's conversion to RGB, None where the bytes are RGB already."""

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
    # The encoding names no order; RViz and cv_bridge's users take it for BGR.
    "8UC3": PixelLayout(3, cv2.COLOR_BGR2RGB),
    "yuv422": PixelLayout(2, cv2.COLOR_YUV2RGB_UYVY, needs_even_width=True),
    "uyvy": PixelLayout(2, cv2.COLOR_YUV2RGB_UYVY, needs_even_width=True),
    "yuv422_yuy2": PixelLayout(2, cv2.COLOR_YUV2RGB_YUY2, needs_even_width=True),
    "yuyv": PixelLayout(2, cv2.COLOR_YUV2RGB_YUY2, needs_even_width=True),
    NV12: PixelLayout(1, None, needs_even_width=True),
    **{name: PixelLayout(1, conversion) for name, conversion in BAYER_CONVERSIONS.items()},
}


def convert_packed(
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


def convert_nv12(data_S: np.ndarray, *, size_hw: tuple[int, int], step: int) -> np.ndarray:
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
