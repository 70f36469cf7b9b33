"""Frames of a source as a player publishes them: length, size, transport and ground truth."""

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.data.label_statistics import TruthReader
from proxia_segmentation_ros.data.pair_files import index_by_stem
from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.sources.frame_sources import (
    DamagedFrame,
    FolderSource,
    Source,
    SourceFrame,
    list_images,
)

if TYPE_CHECKING:
    from proxia_segmentation_ros.wire.played_frame import PlayedFrame

logger = logging.getLogger(__name__)

Transport = Literal["raw", "compressed"]
MAX_WARNINGS = 10
JPEG_QUALITY = 90


@dataclass(frozen=True, kw_only=True)
class StreamSettings:
    """How a source is played.

    `transport` None keeps the form of the source's first frame, `rate_hz` None the source's
    own rate, `size_hw` None its size. `max_frames` 0 plays all.
    """

    transport: Transport | None = None
    rate_hz: float | None = None
    size_hw: SizeHW | None = None
    max_frames: int = 0
    loop: bool = False


class FrameStream:
    """The frames of a source, converted as the settings say.

    Frames that can't be read are left out with a warning.

    Raises:
        InputError: no frame of the source can be played.
    """

    def __init__(
        self, source: Source, settings: StreamSettings, truth: "TruthFolder | None" = None
    ) -> None:
        self._source = source
        self._settings = settings
        self._truth = truth
        self._damaged: dict[str, str] = {}
        self.is_live = source.rate_hz == 0
        self.rate_hz = source.rate_hz if settings.rate_hz is None else settings.rate_hz
        self.transport = settings.transport or self._find_transport()

    @property
    def skipped(self) -> int:
        """Number of frames that were left out so far, each counted once."""
        return len(self._damaged)

    def _find_transport(self) -> Transport:
        if self._source.is_endless:
            return "raw"
        for source_frame in self._source:
            if not isinstance(source_frame, DamagedFrame):
                return "compressed" if source_frame.frame.is_compressed else "raw"
            self._leave_out(source_frame)
        raise self._explain_nothing()

    def __iter__(self) -> Iterator[SourceFrame]:
        frames = self._iterate()
        if self._settings.max_frames:
            frames = itertools.islice(frames, self._settings.max_frames)
        return frames

    def _iterate(self) -> Iterator[SourceFrame]:
        while True:
            is_empty = True
            for index, source_frame in enumerate(self._source):
                if isinstance(source_frame, DamagedFrame):
                    self._leave_out(source_frame)
                    continue
                truth_HW = self._truth.read(index) if self._truth else source_frame.truth_HW
                try:
                    _check_truth_size(source_frame.frame, truth_HW)
                    playable = self._convert(SourceFrame(source_frame.frame, truth_HW))
                    _check_header(playable.frame)
                except InputError as error:
                    self._leave_out(DamagedFrame(f"frame {index}", str(error)))
                    continue
                is_empty = False
                yield playable
            if is_empty:
                raise self._explain_nothing()
            if not self._settings.loop:
                return

    def _leave_out(self, damaged: DamagedFrame) -> None:
        if damaged.name in self._damaged:
            return
        self._damaged[damaged.name] = damaged.reason
        if self.skipped <= MAX_WARNINGS:
            logger.warning(
                "%s: %s is left out: %s", self._source.name, damaged.name, damaged.reason
            )
        if self.skipped == MAX_WARNINGS:
            logger.warning("%s: further frames are left out silently", self._source.name)

    def _explain_nothing(self) -> InputError:
        first = next(iter(self._damaged.items()), None)
        why = f"; {first[0]}: {first[1].partition(';')[0]}" if first else ""
        return InputError.from_parts(
            f"source {self._source.name!r} holds no frame that can be played{why}",
            "at least one whole frame",
            "check the files",
        )

    def _convert(self, source_frame: SourceFrame) -> SourceFrame:
        settings = self._settings
        frame, truth_HW = source_frame.frame, source_frame.truth_HW
        if settings.rate_hz is not None:
            frame = replace(frame, stamp_ns=None)
        wants_compressed = self.transport == "compressed"
        if settings.size_hw is None and frame.is_compressed == wants_compressed:
            return SourceFrame(frame, truth_HW)
        image_HWC = decode_rgb(frame)
        if settings.size_hw is not None and image_HWC.shape[:2] != settings.size_hw:
            size_wh = settings.size_hw[::-1]
            image_HWC = cv2.resize(image_HWC, size_wh, interpolation=cv2.INTER_AREA)
            if truth_HW is not None:
                truth_HW = cv2.resize(truth_HW, size_wh, interpolation=cv2.INTER_NEAREST)
        return SourceFrame(_wrap(image_HWC, wants_compressed, frame.stamp_ns), truth_HW)


class TruthFolder:
    """Ground-truth masks of a source, matched by name to images, else in natural order."""

    def __init__(self, folder: Path, source: Source, label_set: LabelSet) -> None:
        self.label_set = label_set
        self._reader = TruthReader(label_set)
        self._paths = list_images(folder)
        if isinstance(source, FolderSource):
            by_stem = index_by_stem(folder, self._paths, "mask")
            missing = [path.name for path in source.paths if path.stem not in by_stem]
            if missing:
                raise InputError.from_parts(
                    f"truth folder {str(folder)!r} has no mask for {missing[0]!r}"
                    f" and {len(missing) - 1} more",
                    "a mask of the same name for each image",
                    "check the folder",
                )
            self._paths = [by_stem[path.stem] for path in source.paths]

    def read(self, index: int) -> np.ndarray | None:
        """Return the class ids (H, W) of frame `index`, None beyond the last mask."""
        if index >= len(self._paths):
            return None
        return self._reader.read(self._paths[index])

    def list_unknown_ids(self) -> list[str]:
        """Return a sentence if the masks read so far hold ids that the label set doesn't know."""
        return self._reader.list_unknown_ids()


def _check_truth_size(frame: "PlayedFrame", truth_HW: np.ndarray | None) -> None:
    if truth_HW is None:
        return
    size_hw = read_frame_size(frame)
    if truth_HW.shape != size_hw:
        raise InputError.from_parts(
            f"its mask is {truth_HW.shape} and the image {size_hw} (rows, columns)",
            "the same size as they are stored, without EXIF orientation",
            "correct one of them",
        )


def _check_header(frame: "PlayedFrame") -> None:
    """Refuse a JPEG or PNG whose size can't be read: the player needs it for the calibration.

    Raises:
        InputError: the header can't be read.
    """
    read_frame_size(frame)


def read_frame_size(frame: "PlayedFrame") -> tuple[int, int]:
    """Return (height, width) without decoding.

    Raises:
        InputError: the header of a JPEG or PNG can't be read.
    """
    from proxia_segmentation_ros.wire.cdr import CompressedImageMessage
    from proxia_segmentation_ros.wire.compressed import read_encoded_size

    payload = frame.payload
    if isinstance(payload, CompressedImageMessage):
        return read_encoded_size(payload.data)
    return payload.height, payload.width


def count_bytes(source_frame: SourceFrame) -> int:
    """Return the memory of a frame and its ground truth in bytes."""
    truth_HW = source_frame.truth_HW
    truth_bytes = 0 if truth_HW is None else truth_HW.nbytes
    return len(source_frame.frame.payload.data) + truth_bytes


def decode_rgb(frame: "PlayedFrame") -> np.ndarray:
    """Return a played frame's image as uint8 RGB (H, W, 3)."""
    from proxia_segmentation_ros.config import InferenceSettings
    from proxia_segmentation_ros.wire.cdr import CompressedImageMessage
    from proxia_segmentation_ros.wire.compressed import decode_compressed
    from proxia_segmentation_ros.wire.encodings import decode_image

    max_pixels = InferenceSettings().max_input_pixels
    if isinstance(frame.payload, CompressedImageMessage):
        return decode_compressed(frame.payload, max_pixels=max_pixels)
    return decode_image(frame.payload, max_pixels=max_pixels)


def parse_transport(text: str) -> Transport | None:
    """Return the named transport, None for an empty text.

    Raises:
        ConfigError: the transport is unknown.
    """
    if text == "raw":
        return "raw"
    if text == "compressed":
        return "compressed"
    if text:
        raise ConfigError.from_parts(f"transport is {text!r}", "raw or compressed", "pick one")
    return None


def encode_jpeg(image_HWC: np.ndarray, stamp_ns: int | None = None) -> "PlayedFrame":
    """Encode a uint8 RGB image as a JPEG frame."""
    from proxia_segmentation_ros.wire.played_frame import PlayedFrame

    image_bgr_HWC = cv2.cvtColor(image_HWC, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", image_bgr_HWC, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return PlayedFrame.from_encoded(encoded.tobytes(), "jpeg", stamp_ns)


def _wrap(image_HWC: np.ndarray, is_compressed: bool, stamp_ns: int | None) -> "PlayedFrame":
    from proxia_segmentation_ros.wire.played_frame import PlayedFrame

    if is_compressed:
        return encode_jpeg(image_HWC, stamp_ns)
    return PlayedFrame.from_rgb(image_HWC, stamp_ns)
