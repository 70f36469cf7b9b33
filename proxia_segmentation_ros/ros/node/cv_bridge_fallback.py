"""Decodes encodings that `wire.encodings` does not know, if a working cv_bridge is installed."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.cdr import ImageMessage
from proxia_segmentation_ros.wire.encodings import SUPPORTED_ENCODINGS
from proxia_segmentation_ros.wire.limits import quote


def convert_with_cv_bridge(message: ImageMessage) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB.

    Raises:
        InputError: cv_bridge is absent, broken, or does not know the encoding either.
    """
    convert, why_not = _load_cv_bridge()
    if convert is None:
        raise _refuse(message, f"cv_bridge can't help: {why_not}")
    try:
        return convert(_make_message(message))
    except Exception as error:
        raise _refuse(message, f"cv_bridge says: {error}") from error


@cache
def _load_cv_bridge() -> tuple[Callable[[Image], np.ndarray] | None, str]:
    try:
        from cv_bridge import CvBridge

        bridge: Any = CvBridge()
    except Exception as error:  # noqa: BLE001 - the reason becomes part of the frame's error
        # A cv_bridge built for numpy 1 fails with various exceptions under numpy 2.
        return None, f"{type(error).__name__}: {error}"
    return lambda image: np.asarray(bridge.imgmsg_to_cv2(image, "rgb8")), ""


def _make_message(message: ImageMessage) -> Image:
    image = Image(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        step=message.step,
    )
    image.data.frombytes(message.data)
    return image


def _refuse(message: ImageMessage, reason: str) -> InputError:
    return InputError.from_parts(
        f"image encoding {quote(message.encoding)} can't be decoded ({reason})",
        f"one of {', '.join(SUPPORTED_ENCODINGS)}",
        "set the camera driver to one of them, or install a cv_bridge that fits numpy",
    )
