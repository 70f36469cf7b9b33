"""Call a model at a camera's rate, or as fast as it goes, and note when what happened."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from proxia_segmentation_ros.benchmark.trace import Trace

# A stretch of fewer frames has no rate.
LEAST_FRAMES = 2


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """How long and how fast; `rate_hz` 0 is as fast as it goes, `frames` 0 what `seconds` holds."""

    rate_hz: float = 0.0
    seconds: float = 2.0
    frames: int = 0

    @property
    def frames_due(self) -> int:
        """Frames of a camera at that rate."""
        return self.frames or max(LEAST_FRAMES, round(self.seconds * self.rate_hz))

    def is_over(self, frames: int, elapsed_s: float) -> bool:
        """Whether a stretch without a rate has had enough frames."""
        if self.frames:
            return frames >= self.frames
        return frames >= LEAST_FRAMES and elapsed_s >= self.seconds


@dataclass(frozen=True, kw_only=True)
class FrameNotes:
    """What is known of one labelled frame beside its labels."""

    stages_ms: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)


class TraceKeeper:
    """Collect one stretch's moments and notes."""

    def __init__(self) -> None:
        self.sent_s: dict[int, float] = {}
        self.received_s: dict[int, float] = {}
        self._stages_ms: dict[str, list[float]] = {}
        self._gauges: dict[str, list[float]] = {}

    def add(self, notes: FrameNotes) -> None:
        """Keep the notes of one frame."""
        for name, time_ms in notes.stages_ms.items():
            self._stages_ms.setdefault(name, []).append(time_ms)
        for name, value in notes.gauges.items():
            self._gauges.setdefault(name, []).append(value)

    def finish(self) -> Trace:
        """Return everything as a trace."""
        return Trace(
            sent_s=self.sent_s,
            received_s=self.received_s,
            stages_ms=self._stages_ms,
            gauges=self._gauges,
        )


def run_calls(
    label: Callable[[np.ndarray], FrameNotes],
    images: Sequence[np.ndarray],
    stretch: Stretch,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Trace:
    """Label images one after the other.

    At a rate, a frame that comes while the model is busy waits; a newer one takes its place, as
    in the node's mailbox, and it is missed.
    """
    keeper = TraceKeeper()
    if stretch.rate_hz <= 0:
        _run_without_pause(label, images, stretch, keeper, clock)
        return keeper.finish()
    period_s, began_s, due = 1 / stretch.rate_hz, clock(), 0
    keeper.sent_s = {key: began_s + key * period_s for key in range(stretch.frames_due)}
    while due < stretch.frames_due:
        wait_s = keeper.sent_s[due] - clock()
        if wait_s > 0:
            sleep(wait_s)
        newest = math.floor((clock() - began_s) / period_s)
        key = min(max(due, newest), stretch.frames_due - 1)
        keeper.add(label(images[key % len(images)]))
        keeper.received_s[key] = clock()
        due = key + 1
    return keeper.finish()


def _run_without_pause(
    label: Callable[[np.ndarray], FrameNotes],
    images: Sequence[np.ndarray],
    stretch: Stretch,
    keeper: TraceKeeper,
    clock: Callable[[], float],
) -> None:
    began_s, key = clock(), 0
    while not stretch.is_over(key, clock() - began_s):
        keeper.sent_s[key] = clock()
        keeper.add(label(images[key % len(images)]))
        keeper.received_s[key] = clock()
        key += 1
