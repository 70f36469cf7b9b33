"""Call a model at a camera's rate or as fast as it goes, and record a trace."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from proxia_segmentation_ros.benchmark.trace import Trace

# A frame rate needs one gap.
MIN_FRAMES = 2


@dataclass(frozen=True, kw_only=True)
class Run:
    """Rate and length of a run; `rate_hz` 0 is no pause, `frames` 0 as many as fit in `seconds`."""

    rate_hz: float = 0.0
    seconds: float = 2.0
    frames: int = 0

    @property
    def frames_due(self) -> int:
        """Number of frames that a camera sends at that rate."""
        return self.frames or max(MIN_FRAMES, round(self.seconds * self.rate_hz))

    def is_over(self, frames: int, elapsed_s: float) -> bool:
        """Whether a run without a rate has had all its frames or seconds."""
        if self.frames:
            return frames >= self.frames
        return frames >= MIN_FRAMES and elapsed_s >= self.seconds


@dataclass(frozen=True, kw_only=True)
class FrameMetrics:
    """Stage times and other figures of one labelled frame."""

    stages_ms: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)


class TraceRecorder:
    """Collects the trace of one run, frame by frame."""

    def __init__(self) -> None:
        self.sent_s: dict[int, float] = {}
        self.received_s: dict[int, float] = {}
        self._stages_ms: dict[str, list[float]] = {}
        self._gauges: dict[str, list[float]] = {}

    def add(self, metrics: FrameMetrics) -> None:
        """Append the metrics of one frame."""
        for name, time_ms in metrics.stages_ms.items():
            self._stages_ms.setdefault(name, []).append(time_ms)
        for name, value in metrics.gauges.items():
            self._gauges.setdefault(name, []).append(value)

    def finish(self) -> Trace:
        """Return the trace."""
        return Trace(
            sent_s=self.sent_s,
            received_s=self.received_s,
            stages_ms=self._stages_ms,
            gauges=self._gauges,
        )


def run_calls(
    label: Callable[[np.ndarray], FrameMetrics],
    images: Sequence[np.ndarray],
    run: Run,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Trace:
    """Label images in sequence.

    At a rate, a frame that is due while the model is busy waits. A newer frame replaces it, as in
    the node's mailbox, and it counts as missed.
    """
    recorder = TraceRecorder()
    if run.rate_hz <= 0:
        _run_without_pause(label, images, run, recorder, clock)
        return recorder.finish()
    period_s, began_s, due = 1 / run.rate_hz, clock(), 0
    recorder.sent_s = {key: began_s + key * period_s for key in range(run.frames_due)}
    while due < run.frames_due:
        wait_s = recorder.sent_s[due] - clock()
        if wait_s > 0:
            sleep(wait_s)
        newest = math.floor((clock() - began_s) / period_s)
        key = min(max(due, newest), run.frames_due - 1)
        recorder.add(label(images[key % len(images)]))
        recorder.received_s[key] = clock()
        due = key + 1
    return recorder.finish()


def _run_without_pause(
    label: Callable[[np.ndarray], FrameMetrics],
    images: Sequence[np.ndarray],
    run: Run,
    recorder: TraceRecorder,
    clock: Callable[[], float],
) -> None:
    began_s, key = clock(), 0
    while not run.is_over(key, clock() - began_s):
        recorder.sent_s[key] = clock()
        recorder.add(label(images[key % len(images)]))
        recorder.received_s[key] = clock()
        key += 1
