"""A frame for the camera player: an image message without its header."""

from dataclasses import dataclass

import numpy as np
from typing_extensions import Self

from proxia_segmentation_ros.wire.cdr import CompressedImageMessage, ImageMessage


@dataclass(frozen=True, kw_only=True, eq=False)
class PlayedFrame:
    """A frame; the player overwrites the payload's stamp and frame_id.

    `stamp_ns` is the time in the source, for the original timing; None plays at a constant rate.
    """

    payload: ImageMessage | CompressedImageMessage
    stamp_ns: int | None = None

    @classmethod
    def from_rgb(cls, image_HWC: np.ndarray, stamp_ns: int | None = None) -> Self:
        """Wrap a uint8 RGB image."""
        height, width, _ = image_HWC.shape
        return cls(
            payload=ImageMessage(
                stamp_sec=0,
                stamp_nanosec=0,
                frame_id="",
                height=height,
                width=width,
                encoding="rgb8",
                is_bigendian=False,
                step=3 * width,
                data=np.ascontiguousarray(image_HWC).reshape(-1),
            ),
            stamp_ns=stamp_ns,
        )

    @classmethod
    def from_encoded(cls, data: bytes, file_format: str, stamp_ns: int | None = None) -> Self:
        """Wrap the bytes of a file; `file_format` is `jpeg` or `png`."""
        return cls(
            payload=CompressedImageMessage(
                stamp_sec=0,
                stamp_nanosec=0,
                frame_id="",
                format=file_format,
                data=np.frombuffer(data, np.uint8),
            ),
            stamp_ns=stamp_ns,
        )

    @property
    def is_compressed(self) -> bool:
        """Whether the payload is a JPEG or PNG file."""
        return isinstance(self.payload, CompressedImageMessage)
