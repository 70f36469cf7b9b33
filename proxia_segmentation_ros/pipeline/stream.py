"""The steps of a frame: decode, segment, publish labels, summarise, publish the rest.

The node and `proxia benchmark pipeline` process their frames with `process_frames`,
`proxia segment` with `process_frame`. The creator of a `CameraStream` passes in the source of
frames (a decoder) and the destination of results (a `Sink`), so nothing here depends on ROS.

Shape legend: H rows, W columns, C colour channels (RGB).
"""

import logging
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.config import OUTPUT_DEFAULTS, SizeHW
from proxia_segmentation_ros.errors import InputError, ProxiaError
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.objects.summary import Scene, summarize
from proxia_segmentation_ros.pipeline.attempt import Attempt
from proxia_segmentation_ros.pipeline.freshness import Freshness, StaleImage
from proxia_segmentation_ros.pipeline.mailbox import PendingFrame
from proxia_segmentation_ros.pipeline.sink import (
    DecodedImage,
    Frame,
    Geometry,
    SharedSettings,
    Sink,
    Stamp,
)
from proxia_segmentation_ros.pipeline.steps import Steps
from proxia_segmentation_ros.pipeline.timing import FrameLedger, Outcome, StreamMeter
from proxia_segmentation_ros.wire.cdr import read_compressed_image, read_image
from proxia_segmentation_ros.wire.compressed import decode_compressed
from proxia_segmentation_ros.wire.encodings import ImageFallback, decode_image
from proxia_segmentation_ros.wire.limits import RefusedImage

if TYPE_CHECKING:
    # For the type alone: importing the segmenter takes time.
    from proxia_segmentation_ros.inference.segmenter import Segmentation

logger = logging.getLogger(__name__)


class Published(NamedTuple):
    """Facts about the newest published frame, without its pixels, so that these can be freed.

    `tiles` is (number run, number in total).
    """

    stamp: Stamp = (0, 0)
    frame_id: str = ""
    tiles: tuple[int, int] = (0, 0)
    scales: tuple[float, ...] = ()


class CameraStream:
    """The processing steps and counters of one camera; called for one frame at a time.

    `decode` turns a payload into pixels and may raise InputError. `report` is called with a
    sentence about a failed frame. `find_geometry(frame, label_size_hw)` returns depth and
    calibration. `now_ns` reads the clock of the image stamps; without it a frame has no age.
    `report_time` is called with a sentence about each image that is late or unchanged (see
    `Freshness`).
    """

    def __init__(
        self,
        camera: str,
        settings: SharedSettings,
        label_set: LabelSet,
        sink: Sink,
        *,
        decode: Callable[[Any], DecodedImage],
        report: Callable[[str], None],
        find_geometry: "Callable[[Frame, SizeHW], Geometry] | None" = None,
        now_ns: Callable[[], int] | None = None,
        report_time: Callable[[str], object] = str,
    ) -> None:
        self.camera = camera
        self.ledger = FrameLedger()
        self.meter = StreamMeter()
        self.newest = Published()
        self._settings = settings
        self._label_set = label_set
        self._sink = sink
        self._decode = decode
        self._report = report
        self._find_geometry = find_geometry
        self._now_ns = now_ns
        self.freshness = Freshness(settings, report, report_time, now_ns)

    def decode(self, payload: Any) -> Frame:
        """Return the frame of a payload.

        Raises:
            InputError: the payload or its image is broken, unknown, too large or too old.
        """
        image = self._decode(payload)
        # Every 8th pixel tells whether the picture has changed: real ones have noise.
        sample = image.image_HWC[::8, ::8].tobytes()
        self.freshness.check(image.stamp, zlib.crc32(sample))
        return Frame(
            camera=self.camera,
            image_HWC=image.image_HWC,
            stamp=image.stamp,
            frame_id=image.frame_id,
            attachment=image.attachment,
            demand=self._sink.read_demand(),
        )

    def publish(self, frame: Frame, segmentation: "Segmentation") -> None:
        """Publish the labels through the sink."""
        self._sink.send_labels(frame, segmentation)
        tiles = segmentation.tiles_run, segmentation.tiles_total
        # One assignment: other threads read it.
        self.newest = Published(frame.stamp, frame.frame_id, tiles, segmentation.scales)

    def follow_up(self, frame: Frame, segmentation: "Segmentation", stages: StageClock) -> None:
        """Summarise, then publish everything but the labels through the sink."""
        geometry, scene = Geometry(), None
        if self._find_geometry is not None:
            geometry = self._find_geometry(frame, segmentation.labels.shape[:2])
        # Before the summary: whatever becomes of that, these go out.
        self._sink.send_aligned(frame, segmentation, geometry)
        boxes = frame.demand.overlay and self._settings.value.overlay.boxes
        if frame.demand.summary or boxes:
            stages.skip()
            scene = self._summarize(segmentation, geometry)
            if frame.demand.summary:
                self._sink.send_summary(frame, scene)
            stages.mark("objects")
        self._sink.send_pictures(frame, segmentation, scene)

    def reject(self, error: BaseException) -> Outcome:
        """Report a frame that can't be segmented and return the counter that it belongs to."""
        if isinstance(error, ProxiaError):
            self._report(str(error))
        else:
            self._report(f"frame failed with {type(error).__name__}: {error}")
        if isinstance(error, StaleImage):
            return "dropped_stale"
        if isinstance(error, RefusedImage):
            return "dropped_refused"
        return "dropped_undecodable" if isinstance(error, InputError) else "dropped_failed"

    def age_ms(self, frame: Frame) -> float:
        """Return the milliseconds since the image's stamp; NaN without a clock."""
        if self._now_ns is None:
            return float("nan")
        seconds, nanoseconds = frame.stamp
        return float(self._now_ns() - nanoseconds - seconds * 10**9) / 1e6

    def stages_ms(self, segmentation: "Segmentation") -> Mapping[str, float]:
        """Return the duration of each stage of the segmenter, in milliseconds."""
        return segmentation.stages_ms

    def _summarize(self, segmentation: "Segmentation", geometry: Geometry) -> Scene:
        settings = self._settings.value.objects
        return summarize(
            segmentation,
            self._label_set,
            min_area_px=settings.min_area_px,
            max_per_class=settings.max_per_class if settings.enabled else 0,
            depth_m_HW=geometry.depth_m_HW if settings.enabled else None,
            camera_matrix=geometry.camera_matrix,
        )


def decode_message(
    buffer: bytes,
    *,
    settings: SharedSettings,
    is_compressed: bool,
    fallback: ImageFallback | None = None,
) -> DecodedImage:
    """Decode a serialised sensor_msgs/Image or CompressedImage; `fallback` as in `decode_image`.

    Raises:
        InputError: the message or its image is broken, unknown or too large.
    """
    max_pixels = settings.value.inference.max_input_pixels
    if is_compressed:
        compressed = read_compressed_image(buffer)
        image_HWC = decode_compressed(compressed, max_pixels=max_pixels)
        stamp = (compressed.stamp_sec, compressed.stamp_nanosec)
        return DecodedImage(image_HWC=image_HWC, stamp=stamp, frame_id=compressed.frame_id)
    message = read_image(buffer)
    image_HWC = decode_image(message, max_pixels=max_pixels, fallback=fallback)
    stamp = (message.stamp_sec, message.stamp_nanosec)
    return DecodedImage(image_HWC=image_HWC, stamp=stamp, frame_id=message.frame_id)


class Capacity(NamedTuple):
    """Frames per call of the segmenter, and number of calls that may run concurrently."""

    together: int = 1
    at_once: int = 1


class _Segmenter(Protocol):
    @property
    def largest_batch(self) -> int: ...

    @property
    def lanes(self) -> int: ...

    def segment_many(
        self,
        images_HWC: Sequence[np.ndarray],
        with_confidence: Sequence[bool],
        *,
        output_size: str = OUTPUT_DEFAULTS.size,
        min_confidence: float = OUTPUT_DEFAULTS.min_confidence,
        streams: Sequence[str] | None = None,
    ) -> "list[Segmentation]": ...


class SegmentFrames:
    """Segments frames of all cameras, batched or in concurrent calls, with the current settings.

    `lend` returns a context with the segmenter for one call; without it that is `segmenter`.
    """

    def __init__(
        self,
        segmenter: _Segmenter,
        settings: SharedSettings,
        lend: Callable[[], AbstractContextManager[_Segmenter]] | None = None,
    ) -> None:
        self._segmenter = segmenter
        self._settings = settings
        self._lend = lend or (lambda: nullcontext(segmenter))

    def find_capacity(self) -> Capacity:
        """Return how many frames to batch, and how many calls may run concurrently."""
        return Capacity(self._segmenter.largest_batch, self._segmenter.lanes)

    def __call__(self, frames: Sequence[Frame]) -> "list[Segmentation]":
        """Segment the frames; images may differ in size."""
        output = self._settings.value.output
        with self._lend() as segmenter:
            return segmenter.segment_many(
                [frame.image_HWC for frame in frames],
                [frame.demand.confidence for frame in frames],
                output_size=output.size,
                min_confidence=output.min_confidence,
                streams=[frame.camera for frame in frames],
            )


Segment = Callable[[Sequence[Any]], Sequence[Any]]
"""Segments frames of several streams in one call; returns results in the same order."""


@dataclass(eq=False)
class _InFlightFrame:
    """One frame in the pipeline; `_segment_all` sets `segmentation` and `inference_ms`."""

    stream: Steps
    received_s: float
    stages: StageClock
    frame: Any
    segmentation: Any = None
    inference_ms: float = 0.0


def process_frames(
    taken: Iterable[tuple[Steps, PendingFrame]],
    segment: Segment,
    clock: Callable[[], float],
    attempt: Attempt | None = None,
) -> None:
    """Process one frame each of several cameras; a failing frame does not affect the others.

    All frames are decoded, then segmented together. The labels of all cameras are published
    before the first summary is computed, so that no camera waits for the objects of another.
    `attempt` tells other threads how far this call is; once it is abandoned, nothing is published.
    """
    taken = list(taken)
    attempt = attempt or Attempt(stream for stream, _ in taken)
    decoded = [
        item for stream, pending in taken for item in _decode(stream, pending, clock, attempt)
    ]
    attempt.stage = "segment"
    segmented = _segment_all(decoded, segment, clock, attempt)
    attempt.stage = "publish"
    published = [item for item in segmented if _publish(item, clock, attempt)]
    attempt.stage = "objects"
    for item in published:
        if not attempt.is_abandoned:
            _follow_up(item, clock)


def process_frame(stream: Steps, payload: Any, segment: Segment) -> None:
    """Process one frame with the same steps in this thread; exceptions are passed on.

    For callers such as `proxia segment`, which handle bad images themselves.
    """
    frame = stream.decode(payload)
    (segmentation,) = segment([frame])
    stream.publish(frame, segmentation)
    stream.follow_up(frame, segmentation, StageClock())


def _decode(
    stream: Steps, pending: PendingFrame, clock: Callable[[], float], attempt: Attempt
) -> list[_InFlightFrame]:
    stages = StageClock(clock)
    stages.add("receive", 1e3 * (clock() - pending.received_s))
    try:
        frame = stream.decode(pending.payload)
    except BaseException as error:  # noqa: BLE001 - no input may end the worker
        attempt.finish(stream.camera, _reject(stream, error))
        return []
    stages.mark("decode")
    return [_InFlightFrame(stream, pending.received_s, stages, frame)]


def _segment_all(
    items: list[_InFlightFrame], segment: Segment, clock: Callable[[], float], attempt: Attempt
) -> list[_InFlightFrame]:
    """Segment in one call; if that fails, one by one, so that only the bad frame is lost."""
    if not items or attempt.is_abandoned:
        return []
    started_s = clock()
    try:
        results = segment([item.frame for item in items])
        spent_ms = 1e3 * (clock() - started_s)
        for item, segmentation in zip(items, results, strict=True):
            item.segmentation, item.inference_ms = segmentation, spent_ms
    except BaseException as error:  # noqa: BLE001 - as above
        if len(items) > 1:
            alone = [_segment_all([item], segment, clock, attempt) for item in items]
            return [item for done in alone for item in done]
        if not attempt.is_abandoned:
            attempt.finish(items[0].stream.camera, _reject(items[0].stream, error))
        return []
    return items


def _publish(item: _InFlightFrame, clock: Callable[[], float], attempt: Attempt) -> bool:
    stream, stages = item.stream, item.stages
    if attempt.is_abandoned:
        return False
    stages.skip()
    try:
        stream.publish(item.frame, item.segmentation)
        stages.mark("publish")
        age_ms = stream.age_ms(item.frame)
        for stage, spent_ms in stream.stages_ms(item.segmentation).items():
            stages.add(stage, spent_ms)
    except BaseException as error:  # noqa: BLE001 - as above
        attempt.finish(stream.camera, _reject(stream, error))
        return False
    now_s = clock()
    attempt.finish(stream.camera, "labelled")
    stream.meter.add(
        latency_ms=1e3 * (now_s - item.received_s),
        age_ms=age_ms,
        inference_ms=item.inference_ms,
        now_s=now_s,
    )
    return True


def _follow_up(item: _InFlightFrame, clock: Callable[[], float]) -> None:
    stream, stages = item.stream, item.stages
    stages.skip()
    try:
        stream.follow_up(item.frame, item.segmentation, stages)
    except BaseException as error:  # noqa: BLE001 - the labels are out: the frame counts as labelled
        _reject(stream, error)
    stream.meter.add_stages(stages.stages_ms, clock())


def _reject(stream: Steps, error: BaseException) -> Outcome:
    """Report a frame's error; a failing report must not end the worker."""
    try:
        return stream.reject(error)
    except BaseException:
        logger.exception("camera %s can't report %r", stream.camera, error)
        return "dropped_failed"
