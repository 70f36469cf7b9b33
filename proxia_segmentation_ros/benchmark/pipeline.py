"""Runs the node's frame pipeline without DDS: image message bytes in, label message bytes out."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from proxia_segmentation_ros.benchmark.run import FrameMetrics, Run, TraceRecorder
from proxia_segmentation_ros.benchmark.trace import Trace
from proxia_segmentation_ros.config import OUTPUT_DEFAULTS, NodeSettings, OutputSettings
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.objects.summary import Scene
from proxia_segmentation_ros.pipeline.sink import (
    DecodedImage,
    Demand,
    Frame,
    Geometry,
    SharedSettings,
)
from proxia_segmentation_ros.pipeline.stream import CameraStream, SegmentFrames, decode_message
from proxia_segmentation_ros.pipeline.timing import StreamMeter
from proxia_segmentation_ros.pipeline.workers import FrameWorkers
from proxia_segmentation_ros.wire.cdr import ImageMessage, ImageWriter, write_image

if TYPE_CHECKING:
    from proxia_segmentation_ros.inference.segmenter import Segmentation, Segmenter

FRAME_ID = "camera_optical_frame"
LAST_FRAME_TIMEOUT_S = 60.0
CLOSE_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class _NumberedMessage:
    """The bytes of one frame, and its number in the run."""

    key: int
    buffer: bytes


class PipelineRunner:
    """Runs one camera stream through the node's pipeline, with default settings."""

    def __init__(
        self,
        segmenter: "Segmenter",
        images: Sequence[np.ndarray],
        calling: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`calling` holds arguments of `Segmenter.segment`, and `objects`: whether to find them."""
        options = {"stream": "", **calling}
        self._camera = str(options["stream"])
        self._demand = Demand(
            confidence=bool(options.get("with_confidence", False)),
            summary=bool(options.get("objects", True)),
        )
        output = OutputSettings(
            size=options.get("output_size", OUTPUT_DEFAULTS.size),
            min_confidence=options.get("min_confidence", OUTPUT_DEFAULTS.min_confidence),
        )
        self._settings = SharedSettings(NodeSettings(output=output))
        self._clock = clock
        self._buffers = [_write_frame(image_HWC) for image_HWC in images]
        self._writers: dict[tuple[int, ...], ImageWriter] = {}
        self._changed = threading.Condition()
        self.recorder = TraceRecorder()
        self._taken = self._finished = self._newest = -1
        self._error: str | None = None
        self._cause: Exception | None = None
        self._segment = SegmentFrames(segmenter, self._settings)
        stream = CameraStream(
            self._camera,
            self._settings,
            segmenter.label_set,
            self,
            decode=self._decode,
            report=self._report,
        )
        stream.meter = _StageForwarder(self)
        self._workers = FrameWorkers(clock)
        self._workers.open([stream], self._segment_and_record)

    def run(self, run: Run) -> Trace:
        """Feed frames at the run's rate; without a rate, one frame always waits for the model.

        Raises:
            BackendError: a frame failed or got lost.
        """
        self.recorder = TraceRecorder()
        self._taken = self._finished = self._newest = -1
        frames = self._put_on_time(run) if run.rate_hz > 0 else self._put_freely(run)
        self._wait(lambda: self._finished >= frames - 1)
        return self.recorder.finish()

    def close(self) -> None:
        """Stop the worker threads."""
        self._workers.close(CLOSE_TIMEOUT_S)

    # Sink

    def read_demand(self) -> Demand:
        """Return the outputs that every frame needs."""
        return self._demand

    def send_labels(self, frame: Frame, segmentation: "Segmentation") -> None:
        """Serialise the label message, as publishing would."""
        labels_HW = segmentation.labels
        writer = self._writers.get(labels_HW.shape)
        if writer is None:
            encoding = "mono8" if labels_HW.dtype == np.uint8 else "mono16"
            writer = ImageWriter(FRAME_ID, labels_HW.shape[0], labels_HW.shape[1], encoding)
            self._writers[labels_HW.shape] = writer
        writer.write(0, 0, labels_HW)
        self.recorder.received_s[frame.attachment] = self._clock()

    def send_summary(self, frame: Frame, scene: Scene) -> None:
        """Drop the summary; computing it is part of the benchmark."""

    def send_aligned(self, frame: Frame, segmentation: "Segmentation", geometry: Geometry) -> None:
        """Drop confidence and calibration."""

    def send_pictures(
        self,
        frame: Frame,
        segmentation: "Segmentation",  # noqa: ARG002 - the protocol of `Sink`
        scene: Scene | None,  # noqa: ARG002
    ) -> None:
        """Remember the frame; `finish_frame` counts it once its stage times are recorded."""
        self._newest = frame.attachment

    def finish_frame(self, stages_ms: Mapping[str, float]) -> None:
        """Record the stage times of the last frame."""
        self.recorder.add(FrameMetrics(stages_ms=stages_ms))
        with self._changed:
            self._finished = self._newest
            self._changed.notify_all()

    def _put_on_time(self, run: Run) -> int:
        began_s = self._clock()
        for key in range(run.frames_due):
            time.sleep(max(0.0, began_s + key / run.rate_hz - self._clock()))
            self._put(key)
        return run.frames_due

    def _put_freely(self, run: Run) -> int:
        began_s, key = self._clock(), 0
        while not run.is_over(key, self._clock() - began_s):
            self._put(key)
            # Wait until the slot is free, so that no frame replaces another.
            self._wait(lambda newest=key: self._taken >= newest)  # type: ignore[misc]
            key += 1
        return key

    def _put(self, key: int) -> None:
        self.recorder.sent_s[key] = self._clock()
        buffer = self._buffers[key % len(self._buffers)]
        self._workers.put(self._camera, _NumberedMessage(key=key, buffer=buffer))

    def _wait(self, is_enough: Callable[[], bool]) -> None:
        with self._changed:
            is_done = self._changed.wait_for(
                lambda: self._error is not None or is_enough(), LAST_FRAME_TIMEOUT_S
            )
        if self._error is not None:
            raise BackendError(f"a frame failed in the pipeline: {self._error}") from self._cause
        if not is_done:
            raise BackendError.from_parts(
                f"a frame did not come out of the pipeline within {LAST_FRAME_TIMEOUT_S:g} s",
                "a model that answers",
                "take fewer threads or a smaller size",
            )

    def _decode(self, message: _NumberedMessage) -> DecodedImage:
        with self._changed:
            self._taken = message.key
            self._changed.notify_all()
        image = decode_message(message.buffer, settings=self._settings, is_compressed=False)
        return replace(image, attachment=message.key)

    def _segment_and_record(self, frames: Sequence[Frame]) -> "list[Segmentation]":
        try:
            segmentations = self._segment(frames)
        except Exception as error:
            self._cause = error
            raise
        for segmentation in segmentations:
            self.recorder.add(FrameMetrics(gauges=read_metrics(segmentation).gauges))
        return segmentations

    def _report(self, sentence: str) -> None:
        with self._changed:
            self._error = sentence
            self._changed.notify_all()


class _StageForwarder(StreamMeter):
    """Passes the stage times of every frame to the runner, instead of keeping statistics."""

    def __init__(self, runner: PipelineRunner) -> None:
        super().__init__()
        self._runner = runner

    def add_stages(self, stages_ms: Mapping[str, float], now_s: float) -> None:  # noqa: ARG002
        """Pass the stage times of one frame on."""
        self._runner.finish_frame(stages_ms)


def read_metrics(segmentation: "Segmentation") -> FrameMetrics:
    """Return the stage times of a segmentation, and how many tiles and scales were run."""
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
