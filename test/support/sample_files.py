"""Small files of every kind that can be played."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from proxia_segmentation_ros.wire.cdr import CompressedImageMessage, ImageMessage


def draw_image(shade: int, height: int = 24, width: int = 32) -> np.ndarray:
    """Return an image of one grey shade."""
    return np.full((height, width, 3), shade, np.uint8)


def write_images(folder: Path, names: list[str]) -> Path:
    """Write an image for each name; its shade is ten times its place."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), draw_image(10 * index))
    return folder


def write_video(path: Path, frames: int = 5, rate_hz: float = 12.5) -> Path:
    """Write a film whose shade grows from frame to frame."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate_hz, (32, 24))
    for index in range(frames):
        writer.write(draw_image(40 * index))
    writer.release()
    return path


def encode_jpeg(image_HWC: np.ndarray) -> np.ndarray:
    """Return the bytes of a JPEG file."""
    return cv2.imencode(".jpg", image_HWC)[1].reshape(-1)


def make_raw_message(shade: int) -> ImageMessage:
    """Return a bgr8 image of one shade."""
    image_HWC = draw_image(shade)
    return ImageMessage(1, 2, "cam", 24, 32, "bgr8", False, 96, image_HWC.reshape(-1))


def make_compressed_message(shade: int) -> CompressedImageMessage:
    """Return a JPEG of one shade."""
    return CompressedImageMessage(1, 2, "cam", "jpeg", encode_jpeg(draw_image(shade)))


class TinyScene:
    """Stands in for the synthetic street: the left half is road, the right one sky."""

    label_set_name = "camvid"
    frame_rate_hz = 15.0

    def __init__(self, seed: int, size_hw: tuple[int, int]) -> None:
        self.seed, self.size_hw = seed, size_hw

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for index in itertools.count():
            labels_HW = np.zeros(self.size_hw, np.uint8)
            labels_HW[:, : self.size_hw[1] // 2] = 3
            image_HWC = np.repeat(labels_HW[..., None] * 60 + index % 50, 3, axis=2)
            yield image_HWC.astype(np.uint8), labels_HW
