"""Sources of frames: the synthetic street, a video, images, a bag or a camera."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.data.pair_files import IMAGE_SUFFIXES
from proxia_segmentation_ros.errors import InputError

if TYPE_CHECKING:
    from proxia_segmentation_ros.wire.played_frame import PlayedFrame

SYNTHETIC = re.compile(r"synthetic(?::(\d+))?")
DEVICE = re.compile(r"/dev/video\d+")
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg"})
BAG_SUFFIXES = frozenset({".mcap", ".db3"})
PASSED_ON_SUFFIXES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}
DEFAULT_RATE_HZ = 15.0
DEFAULT_SIZE_HW = (360, 480)
# A daylight scene; recipes train on seeds below 900 000, so that no weights were trained on it.
DEFAULT_SEED = 1_000_010
KNOWN_KINDS = "synthetic[:SEED], a video file, an image or a folder of images, a bag or /dev/videoN"


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """A frame and, if known, its ground truth: the class id of each pixel."""

    frame: "PlayedFrame"
    truth_HW: np.ndarray | None = None


class Source(Protocol):
    """Frames with a rate; each iteration starts at the first frame.

    `rate_hz` 0 means live: frames come at the camera's rate. `label_set_name` is the label set of
    the ground truth that the source provides, empty without one.
    """

    name: str
    rate_hz: float
    is_endless: bool
    label_set_name: str

    def __iter__(self) -> Iterator[SourceFrame]: ...


class SyntheticSource:
    """The synthetic street, with ground truth for every pixel."""

    is_endless = True

    def __init__(self, seed: int, size_hw: SizeHW) -> None:
        from proxia_segmentation_ros.synthetic import StreetScene

        self.name = f"synthetic:{seed}"
        self.rate_hz = StreetScene.frame_rate_hz
        self.label_set_name = StreetScene.label_set_name
        self._scene = StreetScene(seed, size_hw)

    def __iter__(self) -> Iterator[SourceFrame]:
        from proxia_segmentation_ros.wire.played_frame import PlayedFrame

        for image_HWC, labels_HW in self._scene:
            yield SourceFrame(PlayedFrame.from_rgb(image_HWC), labels_HW)


class VideoSource:
    """A video file, or a camera of this machine if `path` is /dev/videoN."""

    label_set_name = ""

    def __init__(self, path: str) -> None:
        self.name = path
        self.is_endless = DEVICE.fullmatch(path) is not None
        self._path = path
        capture = self._open()
        own_rate_hz = float(capture.get(cv2.CAP_PROP_FPS))
        capture.release()
        self.rate_hz = 0.0 if self.is_endless else own_rate_hz or DEFAULT_RATE_HZ

    def _open(self) -> cv2.VideoCapture:
        if not Path(self._path).exists():
            raise _missing(self._path)
        capture = cv2.VideoCapture(self._path)
        if not capture.isOpened():
            raise InputError.from_parts(
                f"{self._path!r} can't be opened as a video",
                "a camera that is free" if self.is_endless else "a video that OpenCV can decode",
                "close the program that uses it" if self.is_endless else "convert it with ffmpeg",
            )
        return capture

    def __iter__(self) -> Iterator[SourceFrame]:
        from proxia_segmentation_ros.wire.played_frame import PlayedFrame

        capture = self._open()
        try:
            while True:
                is_read, image_bgr_HWC = capture.read()
                if not is_read:
                    return
                image_HWC = cv2.cvtColor(image_bgr_HWC, cv2.COLOR_BGR2RGB)
                yield SourceFrame(PlayedFrame.from_rgb(image_HWC))
        finally:
            capture.release()


class FolderSource:
    """The images of a folder in natural order, or one image; JPEG and PNG are not decoded."""

    is_endless = False
    label_set_name = ""

    def __init__(self, path: str) -> None:
        self.name = path
        self.rate_hz = DEFAULT_RATE_HZ
        self.paths = list_images(Path(path))

    def __iter__(self) -> Iterator[SourceFrame]:
        for path in self.paths:
            yield SourceFrame(_read_played_frame(path))


class BagSource:
    """An image topic of a ROS 1 or ROS 2 bag, with the recorded stamps."""

    is_endless = False
    label_set_name = ""

    def __init__(self, path: str, topic: str | None = None) -> None:
        from proxia_segmentation_ros.bag import bag_info, read_images

        self.name = path
        self._path = path
        self._topic = topic
        first = next(read_images(path, topic), None)
        if first is None:
            raise InputError.from_parts(
                f"bag {path!r} holds no images",
                "a topic of Image or CompressedImage with messages",
                "pick another bag",
            )
        rates_hz = {info.name: info.rate_hz for info in bag_info(path).image_topics}
        self.rate_hz = rates_hz[first.topic] or DEFAULT_RATE_HZ

    def __iter__(self) -> Iterator[SourceFrame]:
        from proxia_segmentation_ros.bag import read_images
        from proxia_segmentation_ros.wire.played_frame import PlayedFrame

        for frame in read_images(self._path, self._topic):
            yield SourceFrame(PlayedFrame(payload=frame.message, stamp_ns=frame.stamp_ns))


def open_source(
    source: str, *, size_hw: SizeHW = DEFAULT_SIZE_HW, bag_topic: str | None = None
) -> Source:
    """Open a source by its name or path; `size_hw` is the size of the synthetic street.

    Raises:
        InputError: the source is missing, unreadable, empty or of an unknown kind.
    """
    synthetic = SYNTHETIC.fullmatch(source)
    if synthetic:
        return SyntheticSource(int(synthetic[1] or DEFAULT_SEED), size_hw)
    path = Path(source)
    if DEVICE.fullmatch(source):
        return VideoSource(source)
    if not path.exists():
        raise _missing(source)
    suffix = path.suffix.lower()
    if suffix in BAG_SUFFIXES or (path / "metadata.yaml").is_file() or suffix == ".bag":
        return BagSource(source, bag_topic)
    if path.is_dir() or suffix in IMAGE_SUFFIXES:
        return FolderSource(source)
    if suffix in VIDEO_SUFFIXES:
        return VideoSource(source)
    raise InputError.from_parts(f"source {source!r} is of no known kind", KNOWN_KINDS, "pick one")


def list_images(path: Path) -> list[Path]:
    """Return the path of an image, or a folder's images in natural order (2 before 10).

    Raises:
        InputError: the path does not exist, or the folder has no image.
    """
    if not path.exists():
        raise _missing(str(path))
    if path.is_file():
        return [path]
    paths = [file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
    if not paths:
        raise InputError.from_parts(
            f"folder {str(path)!r} holds no images",
            f"files that end in {', '.join(sorted(IMAGE_SUFFIXES))}",
            "check the path",
        )
    return sorted(paths, key=lambda file: sort_naturally(file.name))


def sort_naturally(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key that reads digits as numbers."""
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def read_rgb(path: Path) -> np.ndarray:
    """Read an image file as uint8 RGB (H, W, 3).

    Raises:
        InputError: the file is no image that OpenCV can decode.
    """
    encoded = np.fromfile(path, np.uint8)
    image_bgr_HWC = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if image_bgr_HWC is None:
        raise InputError.from_parts(
            f"{str(path)!r} can't be decoded", "an image that OpenCV reads", "check the file"
        )
    return cv2.cvtColor(image_bgr_HWC, cv2.COLOR_BGR2RGB)


def _read_played_frame(path: Path) -> "PlayedFrame":
    from proxia_segmentation_ros.wire.played_frame import PlayedFrame

    file_format = PASSED_ON_SUFFIXES.get(path.suffix.lower())
    if file_format is None:
        return PlayedFrame.from_rgb(read_rgb(path))
    return PlayedFrame.from_encoded(path.read_bytes(), file_format)


def _missing(source: str) -> InputError:
    return InputError.from_parts(f"source {source!r} does not exist", KNOWN_KINDS, "check the path")
