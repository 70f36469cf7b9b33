"""The node's pipeline without DDS: bytes of an image message in, label bytes and objects out."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.benchmark.run import FrameMetrics, Run, TraceRecorder
from proxia_segmentation_ros.benchmark.trace import MS, Trace
from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.objects.summary import summarize
from proxia_segmentation_ros.pipeline.stream import Stream
from proxia_segmentation_ros.pipeline.timing import Outcome
from proxia_segmentation_ros.pipeline.workers import Pipeline
from proxia_segmentation_ros.wire.cdr import ImageMessage, ImageWriter, read_image, write_image
from proxia_segmentation_ros.wire.encodings import decode_image

if TYPE_CHECKING:
    from proxia_segmentation_ros.inference.segmenter import Segmentation, Segmenter

CAMERA = "camera"
FRAME_ID = "camera_optical_frame"
LAST_FRAME_TIMEOUT_S = 60.0
CLOSE_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class _Parcel:
    """One frame's bytes, its place in the stretch and when it was put."""

    key: int
    buffer: bytes
    put_s: float


@dataclass(frozen=True, kw_only=True)
class _Opened:
    key: int
    image_HWC: np.ndarray


class CorePipeline:
    """A camera's stream in `inference.Pipeline`, with the node's default settings."""

    def __init__(
        self,
        segmenter: "Segmenter",
        images: Sequence[np.ndarray],
        calling: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`calling` are further arguments of `Segmenter.segment`, and whether to find `objects`."""
        self._segmenter = segmenter
        self._calling = dict(calling)
        self._finds_objects = bool(self._calling.pop("objects", True))
        self._clock = clock
        self._settings = NodeSettings()
        self._buffers = [_write_frame(image_HWC) for image_HWC in images]
        self._writers: dict[tuple[int, ...], ImageWriter] = {}
        self._changed = threading.Condition()
        self._keeper = TraceRecorder()
        self._taken = self._finished = -1
        self._error: BaseException | None = None
        self._pipeline = Pipeline()
        self._pipeline.open([self._make_stream()], self._label)

    def run(self, stretch: Run) -> Trace:
        """Put frames at the stretch's rate; without one the next waits while one is labelled.

        Raises:
            BackendError: a frame failed or never came out.
        """
        self._keeper = TraceRecorder()
        self._taken = self._finished = -1
        frames = self._put_on_time(stretch) if stretch.rate_hz > 0 else self._put_freely(stretch)
        self._wait(lambda: self._finished >= frames - 1)
        return self._keeper.finish()

    def close(self) -> None:
        """End the pipeline's thread."""
        self._pipeline.close(CLOSE_TIMEOUT_S)

    def _put_on_time(self, stretch: Run) -> int:
        began_s = self._clock()
        for key in range(stretch.frames_due):
            time.sleep(max(0.0, began_s + key / stretch.rate_hz - self._clock()))
            self._put(key)
        return stretch.frames_due

    def _put_freely(self, stretch: Run) -> int:
        began_s, key = self._clock(), 0
        while not stretch.is_over(key, self._clock() - began_s):
            self._put(key)
            # The slot is free again: no frame replaces another.
            self._wait(lambda newest=key: self._taken >= newest)  # type: ignore[misc]
            key += 1
        return key

    def _put(self, key: int) -> None:
        put_s = self._clock()
        self._keeper.sent_s[key] = put_s
        buffer = self._buffers[key % len(self._buffers)]
        self._pipeline.put(CAMERA, _Parcel(key=key, buffer=buffer, put_s=put_s))

    def _wait(self, is_enough: Callable[[], bool]) -> None:
        with self._changed:
            is_done = self._changed.wait_for(
                lambda: self._error is not None or is_enough(), LAST_FRAME_TIMEOUT_S
            )
        if self._error is not None:
            raise BackendError(f"a frame failed in the pipeline: {self._error}") from self._error
        if not is_done:
            raise BackendError.from_parts(
                f"a frame did not come out of the pipeline within {LAST_FRAME_TIMEOUT_S:g} s",
                "a model that answers",
                "take fewer threads or a smaller size",
            )

    def _make_stream(self) -> "Stream[_Parcel, _Opened, Segmentation]":
        return Stream(
            camera=CAMERA,
            decode=self._decode,
            publish=self._publish,
            follow_up=self._follow_up,
            reject=self._reject,
            age_ms=lambda _opened: 0.0,
        )

    def _decode(self, parcel: _Parcel) -> _Opened:
        began_s = self._clock()
        with self._changed:
            self._taken = parcel.key
            self._changed.notify_all()
        max_pixels = self._settings.inference.max_input_pixels
        image_HWC = decode_image(read_image(parcel.buffer), max_pixels=max_pixels)
        self._note(receive=began_s - parcel.put_s, decode=self._clock() - began_s)
        return _Opened(key=parcel.key, image_HWC=image_HWC)

    def _label(self, frames: Sequence[_Opened]) -> "list[Segmentation]":
        (opened,) = frames
        segmentation = self._segmenter.segment(opened.image_HWC, **self._calling)
        self._keeper.add(note_segmentation(segmentation))
        return [segmentation]

    def _publish(self, opened: _Opened, segmentation: "Segmentation") -> None:
        began_s = self._clock()
        self._write_labels(segmentation.labels)
        now_s = self._clock()
        self._keeper.received_s[opened.key] = now_s
        self._note(publish=now_s - began_s)

    def _write_labels(self, labels_HW: np.ndarray) -> bytes:
        writer = self._writers.get(labels_HW.shape)
        if writer is None:
            encoding = "mono8" if labels_HW.dtype == np.uint8 else "mono16"
            writer = ImageWriter(FRAME_ID, labels_HW.shape[0], labels_HW.shape[1], encoding)
            self._writers[labels_HW.shape] = writer
        return writer.write(0, 0, labels_HW)

    def _follow_up(
        self, opened: _Opened, segmentation: "Segmentation", _stages: StageClock
    ) -> None:
        if self._finds_objects:
            began_s = self._clock()
            settings = self._settings.objects
            summarize(
                segmentation,
                self._segmenter.label_set,
                min_area_px=settings.min_area_px,
                max_per_class=settings.max_per_class,
            )
            self._note(objects=self._clock() - began_s)
        with self._changed:
            self._finished = opened.key
            self._changed.notify_all()

    def _reject(self, error: BaseException) -> Outcome:
        with self._changed:
            self._error = error
            self._changed.notify_all()
        return "dropped_refused"

    def _note(self, **stages_s: float) -> None:
        stages_ms = {name: MS * time_s for name, time_s in stages_s.items()}
        self._keeper.add(FrameMetrics(stages_ms=stages_ms))


def note_segmentation(segmentation: "Segmentation") -> FrameMetrics:
    """Return what the segmenter tells of a frame: its stages, and how much of the image ran."""
    return FrameMetrics(
        stages_ms=segmentation.stages_ms,
        gauges={
            "tiles_run": segmentation.tiles_run,
            "tiles_total": segmentation.tiles_total,
            "scales": len(segmentation.scales),
        },
    )


def _write_frame(image_HWC: np.ndarray) -> bytes:
    height, width, _ = image_HWC.shape
    return write_image(
        ImageMessage(
            stamp_sec=0,
            stamp_nanosec=0,
            frame_id=FRAME_ID,
            height=height,
            width=width,
            encoding="rgb8",
            is_bigendian=False,
            step=3 * width,
            data=image_HWC.reshape(-1),
        )
    )
