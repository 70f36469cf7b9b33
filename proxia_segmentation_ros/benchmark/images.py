"""The images that benchmarks label."""

import cv2
import numpy as np

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.sources.frame_sources import open_source
from proxia_segmentation_ros.sources.frame_stream import FrameStream, StreamSettings
from proxia_segmentation_ros.wire.cdr import CompressedImageMessage
from proxia_segmentation_ros.wire.compressed import decode_compressed
from proxia_segmentation_ros.wire.encodings import decode_image

MAX_PIXELS = 1 << 26


def load_images(source: str, size_hw: SizeHW, count: int) -> list[np.ndarray]:
    """Return the first `count` images of a source as `proxia play` names it, at one size.

    Raises:
        InputError: the source is missing, unreadable or empty.
    """
    images = []
    stream = FrameStream(open_source(source, size_hw=size_hw), StreamSettings(max_frames=count))
    for source_frame in stream:
        payload = source_frame.frame.payload
        if isinstance(payload, CompressedImageMessage):
            image_HWC = decode_compressed(payload, max_pixels=MAX_PIXELS)
        else:
            image_HWC = decode_image(payload, max_pixels=MAX_PIXELS)
        if image_HWC.shape[:2] != tuple(size_hw):
            image_HWC = cv2.resize(
                image_HWC, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_AREA
            )
        images.append(np.ascontiguousarray(image_HWC))
    return images
