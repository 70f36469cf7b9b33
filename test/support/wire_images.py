"""Messages for tests: images of known colours in every encoding, built pixel by pixel."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from proxia_segmentation_ros.wire.cdr import CompressedImageMessage, ImageMessage

PATCH_PX = 16
# Saturated colours that any swap of channels or chroma turns into another one.
COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255))


def make_patches() -> np.ndarray:
    """Return rgb_HWC of 32 x 48: two rows of three patches in COLORS."""
    grid = np.array(COLORS, np.uint8).reshape(2, 3, 3)
    return np.repeat(np.repeat(grid, PATCH_PX, 0), PATCH_PX, 1)


def read_patches(image_HWC: np.ndarray) -> np.ndarray:
    """Return the colours (6, 3) in the middles of the patches."""
    half = PATCH_PX // 2
    return image_HWC[half::PATCH_PX, half::PATCH_PX].reshape(6, 3)


def make_image(
    packed_HWC: np.ndarray, encoding: str, *, width: int | None = None, row_padding: int = 0
) -> ImageMessage:
    """Wrap rows of packed pixels, each followed by padding bytes that nobody may read."""
    rows = packed_HWC.reshape(len(packed_HWC), -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, row_padding)), constant_values=77)
    return ImageMessage(
        stamp_sec=12,
        stamp_nanosec=34,
        frame_id="camera",
        height=len(rows),
        width=packed_HWC.shape[1] if width is None else width,
        encoding=encoding,
        is_bigendian=False,
        step=padded.shape[1],
        data=padded.reshape(-1),
    )


def make_blank(**changes: Any) -> ImageMessage:
    """Return a grey rgb8 image of 32 x 48 with some fields changed."""
    return replace(make_image(np.full((32, 48, 3), 128, np.uint8), "rgb8"), **changes)


def encode_yuv(image_HWC: np.ndarray) -> np.ndarray:
    """Return YUV of BT.601 in video range, by its definition."""
    red, green, blue = np.moveaxis(image_HWC.astype(np.float64) / 255, 2, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    blue_difference, red_difference = (blue - luma) / 1.772, (red - luma) / 1.402
    yuv = [16 + 219 * luma, 128 + 224 * blue_difference, 128 + 224 * red_difference]
    return np.stack(yuv, 2).round().astype(np.uint8)


def pack(image_HWC: np.ndarray, encoding: str) -> np.ndarray:
    """Return the image's packed pixels as the definition of the encoding puts them."""
    red, green, blue = np.moveaxis(image_HWC, 2, 0)
    opaque = np.full_like(red, 9)  # an alpha that must leave no trace
    luma, u, v = np.moveaxis(encode_yuv(image_HWC), 2, 0)
    if encoding in {"yuv422", "uyvy", "yuv422_yuy2", "yuyv"}:
        chroma = np.where(np.arange(luma.shape[1]) % 2 == 0, u, v)
        pair = (luma, chroma) if encoding in {"yuv422_yuy2", "yuyv"} else (chroma, luma)
        return np.stack(pair, 2)
    if encoding in {"nv12", "nv21"}:
        pair = (u, v) if encoding == "nv12" else (v, u)
        chroma = np.stack([plane[::2, ::2] for plane in pair], 2).reshape(len(luma) // 2, -1)
        return np.concatenate((luma, chroma))
    if encoding == "nv24":
        chroma = np.stack((u, v), 2).reshape(2 * len(luma), -1)
        return np.concatenate((luma, chroma))
    if encoding.startswith("bayer_"):
        mosaic: np.ndarray = np.empty_like(red)
        for place, letter in enumerate(encoding[len("bayer_") :][:4]):
            row, column = divmod(place, 2)
            plane = {"r": red, "g": green, "b": blue}[letter]
            mosaic[row::2, column::2] = plane[row::2, column::2]
        return _deepen(mosaic) if encoding.endswith("16") else mosaic
    if encoding in {"rgb16", "bgr16", "rgba16", "bgra16"}:
        return _deepen(pack(image_HWC, encoding.replace("16", "8")))
    planes = {
        "rgb8": (red, green, blue),
        "bgr8": (blue, green, red),
        "8UC3": (blue, green, red),
        "rgba8": (red, green, blue, opaque),
        "bgra8": (blue, green, red, opaque),
        "8UC4": (blue, green, red, opaque),
    }
    return np.stack(planes[encoding], 2)


def _deepen(values: np.ndarray) -> np.ndarray:
    """Return little-endian numbers of 16 bits whose low bytes must leave no trace."""
    low = (np.arange(values.size) % 251).reshape(values.shape).astype("<u2")
    deep: np.ndarray = (values.astype("<u2") << 8) | low
    return deep


def make_compressed(data: bytes, image_format: str = "jpeg") -> CompressedImageMessage:
    """Wrap the bytes of a file."""
    return CompressedImageMessage(
        stamp_sec=12,
        stamp_nanosec=34,
        frame_id="camera",
        format=image_format,
        data=np.frombuffer(data, np.uint8),
    )


def encode(image_HWC: np.ndarray, suffix: str = ".jpg", *options: int) -> bytes:
    """Encode RGB, grey or RGBA as a JPEG or PNG file."""
    if image_HWC.ndim == 3:
        is_rgb = image_HWC.shape[2] == 3
        code = cv2.COLOR_RGB2BGR if is_rgb else cv2.COLOR_RGBA2BGRA
        image_HWC = cv2.cvtColor(image_HWC, code)
    is_encoded, encoded = cv2.imencode(suffix, image_HWC, options)
    if not is_encoded:
        raise ValueError(f"cv2 can't encode {suffix}")
    return encoded.tobytes()
