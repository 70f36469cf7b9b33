"""Frames that a camera player publishes."""

import cv2
import numpy as np

from proxia_segmentation_ros.wire.cdr import CompressedImageMessage, ImageMessage
from proxia_segmentation_ros.wire.compressed import decode_compressed
from proxia_segmentation_ros.wire.encodings import decode_image
from proxia_segmentation_ros.wire.played_frame import PlayedFrame

IMAGE_HWC = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def test_rgb_is_wrapped_without_a_copy_and_read_back() -> None:
    frame = PlayedFrame.from_rgb(IMAGE_HWC, stamp_ns=5)
    assert isinstance(frame.payload, ImageMessage)
    assert (frame.is_compressed, frame.stamp_ns, frame.payload.step) == (False, 5, 90)
    assert np.shares_memory(np.asarray(frame.payload.data), IMAGE_HWC)
    np.testing.assert_array_equal(decode_image(frame.payload, max_pixels=600), IMAGE_HWC)


def test_view_that_is_not_contiguous_is_wrapped_too() -> None:
    mirrored_HWC = IMAGE_HWC[:, ::-1]
    payload = PlayedFrame.from_rgb(mirrored_HWC).payload
    assert isinstance(payload, ImageMessage)
    np.testing.assert_array_equal(decode_image(payload, max_pixels=600), mirrored_HWC)


def test_file_is_passed_on_byte_by_byte() -> None:
    _, encoded = cv2.imencode(".png", IMAGE_HWC[..., ::-1])
    frame = PlayedFrame.from_encoded(encoded.tobytes(), "png")
    assert isinstance(frame.payload, CompressedImageMessage)
    assert (frame.is_compressed, frame.stamp_ns, frame.payload.format) == (True, None, "png")
    assert bytes(frame.payload.data) == encoded.tobytes()
    np.testing.assert_array_equal(decode_compressed(frame.payload, max_pixels=600), IMAGE_HWC)
