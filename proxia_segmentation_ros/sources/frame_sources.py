"""Sources of frames: the synthetic street, a video, images, a bag or a camera."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.data.pair_files import IMAGE_SUFFIXES, list_files
from proxia_segmentation_ros.errors import InputError

if TYPE_CHECKING:
    from proxia_segmentation_ros.wire.played_frame import PlayedFrame

SYNTHETIC = re.compile(r"synthetic(?::(\d+))?")
DEVICE = re.compile(r"/dev/video\d+")
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg"})
BAG_SUFFIXES = frozenset({".mcap", ".db3"})
COMPRESSED_BAG_ENDINGS = (".mcap.zstd", ".db3.zstd")
DEFAULT_RATE_HZ = 15.0
# Frame counts of some video formats are estimates.
MAX_MISSING_SHARE = 0.02
MAX_FAILED_READS = 100
# Below this mean rate a bag has a pause or a wrong stamp, and its median interval is taken.
SLOWEST_MEAN_RATE_HZ = 0.1
INTERVALS_SAMPLED = 30
DEFAULT_SIZE_HW = (360, 480)
# A daylight scene; recipes train on seeds below 900 000, so that no weights were trained on it.
DEFAULT_SEED = 1_000_010
KNOWN_KINDS = "synthetic[:SEED], a video file, an image or a folder of images, a bag or /dev/videoN"


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """A frame and, if known, its ground truth: the class id of each pixel."""

    frame: "PlayedFrame"
    truth_HW: np.ndarray | None = None


@dataclass(frozen=True)
class DamagedFrame:
    """Stands in a source for a frame that can't be read; the frames after it can."""

    name: str
    reason: str


class Source(Protocol):
    """Frames with a rate; each iteration starts at the first frame.

    `rate_hz` 0 means live: frames come at the camera's rate. `label_set_name` is the label set of
    the ground truth that the source provides, empty without one.
    """

    name: str
    rate_hz: float
    is_endless: bool
    label_set_name: str

    def __iter__(self) -> Iterator[SourceFrame | DamagedFrame]: ...


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

    def __iter__(self) -> Iterator[SourceFrame | DamagedFrame]:
        from proxia_segmentation_ros.wire.played_frame import PlayedFrame

        capture = self._open()
        count = 0 if self.is_endless else int(max(0, capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        number, failed = 0, 0
        try:
            # A read fails at the end, and also at a broken frame with others behind it.
            while failed <= max(0, min(count - number, MAX_FAILED_READS)):
                is_read, image_bgr_HWC = capture.read()
                if not is_read:
                    failed += 1
                    continue
                for place in range(number, number + failed):
                    yield DamagedFrame(f"frame {place}", "it can't be decoded")
                number, failed = number + failed + 1, 0
                image_HWC = cv2.cvtColor(image_bgr_HWC, cv2.COLOR_BGR2RGB)
                yield SourceFrame(PlayedFrame.from_rgb(image_HWC))
        finally:
            capture.release()
        if count - number > max(1, MAX_MISSING_SHARE * count):
            reason = f"the video ends after {number} of the {count} frames that its header names"
            yield DamagedFrame(f"frame {number}", reason)


class FolderSource:
    """The images of a folder in natural order, or one image; JPEG and PNG are not decoded."""

    is_endless = False
    label_set_name = ""

    def __init__(self, path: str) -> None:
        self.name = path
        self.rate_hz = DEFAULT_RATE_HZ
        self.paths = list_images(Path(path))

    def __iter__(self) -> Iterator[SourceFrame | DamagedFrame]:
        for path in self.paths:
            try:
                yield SourceFrame(_read_played_frame(path))
            except (InputError, OSError) as error:
                yield DamagedFrame(path.name, str(error))


class BagSource:
    """An image topic of a ROS 1 or ROS 2 bag, with the recorded stamps."""

    is_endless = False
    label_set_name = ""

    def __init__(self, path: str, topic: str | None = None) -> None:
        from proxia_segmentation_ros.bag import bag_info, read_images

        self.name = path
        self._path = path
        self._topic = topic
        damaged: list[InputError] = []
        frames = read_images(path, topic, skip_damaged=damaged.append)
        first = list(itertools.islice(frames, INTERVALS_SAMPLED + 1))
        if not first:
            raise InputError.from_parts(
                f"bag {path!r} holds {'no whole images' if damaged else 'no images'}",
                "a topic of Image or CompressedImage with messages",
                "pick another bag",
            )
        rates_hz = {info.name: info.rate_hz for info in bag_info(path).image_topics}
        self.rate_hz = rates_hz[first[0].topic]
        if self.rate_hz < SLOWEST_MEAN_RATE_HZ:
            self.rate_hz = _find_median_rate([frame.stamp_ns for frame in first])

    def __iter__(self) -> Iterator[SourceFrame | DamagedFrame]:
        from proxia_segmentation_ros.bag import read_images
        from proxia_segmentation_ros.wire.played_frame import PlayedFrame

        damaged: list[InputError] = []
        number = 0
        for frame in read_images(self._path, self._topic, skip_damaged=damaged.append):
            for error in damaged:
                yield DamagedFrame(f"frame {number}", str(error))
                number += 1
            damaged.clear()
            yield SourceFrame(PlayedFrame(payload=frame.message, stamp_ns=frame.stamp_ns))
            number += 1
        for error in damaged:
            yield DamagedFrame(f"frame {number}", str(error))
            number += 1


def _find_median_rate(stamps_ns: Sequence[int]) -> float:
    """Return the rate by the median interval, the default rate without any."""
    intervals_ns = [gap for gap in np.diff(stamps_ns).tolist() if gap > 0]
    return 1e9 / float(np.median(intervals_ns)) if intervals_ns else DEFAULT_RATE_HZ


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
    is_bag = suffix in {*BAG_SUFFIXES, ".bag"} or path.name.endswith(COMPRESSED_BAG_ENDINGS)
    if is_bag or _is_bag_folder(path):
        return BagSource(source, bag_topic)
    if path.is_dir() or suffix in IMAGE_SUFFIXES:
        return FolderSource(source)
    if suffix in VIDEO_SUFFIXES:
        return VideoSource(source)
    raise InputError.from_parts(f"source {source!r} is of no known kind", KNOWN_KINDS, "pick one")


def _is_bag_folder(path: Path) -> bool:
    """Whether a folder holds a bag, or one that lost its metadata.yaml, and no images."""
    if (path / "metadata.yaml").is_file():
        return True
    names = [file.name for file in path.iterdir()] if path.is_dir() else []
    has_bag = any(name.endswith((*BAG_SUFFIXES, *COMPRESSED_BAG_ENDINGS)) for name in names)
    return has_bag and not list_files(path, IMAGE_SUFFIXES)


def list_images(path: Path) -> list[Path]:
    """Return the path of an image, or a folder's images in natural order (2 before 10).

    Raises:
        InputError: the path does not exist, or the folder has no image.
    """
    if not path.exists():
        raise _missing(str(path))
    if path.is_file():
        return [path]
    paths = list_files(path, IMAGE_SUFFIXES)
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
    """Read an image file as uint8 RGB (H, W, 3), in the layout that is stored.

    As of JPEG frames, which are passed on, the EXIF orientation is ignored: masks ignore it too.

    Raises:
        InputError: the file is no image that OpenCV can decode, truncated or damaged.
    """
    from proxia_segmentation_ros.wire.compressed import decode_image_file

    try:
        return decode_image_file(path.read_bytes())
    except InputError as error:
        raise InputError(f"{str(path)!r}: {error}") from error


def _read_played_frame(path: Path) -> "PlayedFrame":
    """Return a file's bytes if it is a JPEG or PNG, whatever its name says, else its pixels."""
    from proxia_segmentation_ros.wire.image_header import (
        JPEG_SIGNATURE,
        PNG_SIGNATURE,
        check_whole,
        read_header,
    )
    from proxia_segmentation_ros.wire.played_frame import PlayedFrame

    content = path.read_bytes()
    if not content.startswith((JPEG_SIGNATURE, PNG_SIGNATURE)):
        return PlayedFrame.from_rgb(read_rgb(path))
    check_whole(content)
    return PlayedFrame.from_encoded(content, read_header(content).file_format)


def _missing(source: str) -> InputError:
    return InputError.from_parts(f"source {source!r} does not exist", KNOWN_KINDS, "check the path")
