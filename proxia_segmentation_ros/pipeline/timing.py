"""Counters for the outcome of every frame, and rolling statistics of its latency."""

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Outcome = Literal[
    "labelled",
    "dropped_replaced",
    "dropped_stale",
    "dropped_undecodable",
    "dropped_refused",
    "dropped_paused",
    "dropped_failed",
]
Percentiles = tuple[float, float, float]
# Stages of a frame, in this order: waiting for a worker, decoding, the three of the segmenter
# (pre-processing, inference, post-processing), publishing the labels, finding objects.
STAGES = ("receive", "decode", "pre", "infer", "post", "publish", "objects")

NO_PERCENTILES: Percentiles = (float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True, kw_only=True)
class LedgerCounts:
    """Frame counts of one camera since activation; each frame ends in exactly one outcome."""

    received: int = 0
    labelled: int = 0
    dropped_replaced: int = 0
    dropped_stale: int = 0
    dropped_undecodable: int = 0
    dropped_refused: int = 0
    dropped_paused: int = 0
    dropped_failed: int = 0

    @property
    def dropped(self) -> int:
        """Frames that were dropped for any reason."""
        return self.finished - self.labelled

    @property
    def finished(self) -> int:
        """Frames with an outcome."""
        return (
            self.labelled
            + self.dropped_replaced
            + self.dropped_stale
            + self.dropped_undecodable
            + self.dropped_refused
            + self.dropped_paused
            + self.dropped_failed
        )

    @property
    def under_way(self) -> int:
        """Frames without an outcome yet: at most one waiting and one in the model."""
        return self.received - self.finished


class FrameLedger:
    """Counters of one camera's frames; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._received_s = self._labelled_s = time.monotonic()

    def receive(self) -> None:
        """Count a frame that came in."""
        self._received_s = time.monotonic()
        self._add("received")

    def silence_s(self) -> float:
        """Return the seconds since the last frame was received, or since construction."""
        return time.monotonic() - self._received_s

    def label_silence_s(self) -> float:
        """Return the seconds since the last frame was labelled, or since construction."""
        return time.monotonic() - self._labelled_s

    def finish(self, outcome: Outcome) -> None:
        """Count the outcome of a frame that was received before."""
        if outcome == "labelled":
            self._labelled_s = time.monotonic()
        self._add(outcome)

    def counts(self) -> LedgerCounts:
        """Return a consistent snapshot of all counters."""
        with self._lock:
            return LedgerCounts(**self._counts)

    def _add(self, name: str) -> None:
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + 1


class RateMeter:
    """Finds a rate from readings of a counter; called by one thread."""

    def __init__(self, window_s: float = 2.0) -> None:
        self._window_s = window_s
        self._readings: deque[tuple[float, int]] = deque()

    def add(self, count: int, now_s: float) -> float | None:
        """Take a reading; return the rate in Hz over the window, None while that is not full."""
        self._readings.append((now_s, count))
        while len(self._readings) > 2 and now_s - self._readings[1][0] >= self._window_s:
            self._readings.popleft()
        first_s, first = self._readings[0]
        if now_s - first_s < self._window_s:
            return None
        return (count - first) / (now_s - first_s)


class RollingTimes:
    """Durations from the last `window_s` seconds; at most the newest 4096 of them."""

    def __init__(self, window_s: float = 1.0) -> None:
        self._window_s = window_s
        self._entries: deque[tuple[float, float]] = deque(maxlen=4096)

    def add(self, value_ms: float, now_s: float) -> None:
        """Record one duration, measured at `now_s` of a monotonic clock."""
        # Expire here as well: memory must stay bounded even if nobody reads the statistics.
        self._expire(now_s)
        self._entries.append((now_s, value_ms))

    def percentiles(self, now_s: float) -> Percentiles:
        """Return p50, p95 and p99; NaN if the window is empty."""
        values = self._recent(now_s)
        if not values:
            return NO_PERCENTILES
        p50, p95, p99 = np.percentile(values, (50, 95, 99)).tolist()
        return p50, p95, p99

    def rate_hz(self, now_s: float) -> float:
        """Return the number of entries per second over the window."""
        return len(self._recent(now_s)) / self._window_s

    def _recent(self, now_s: float) -> list[float]:
        self._expire(now_s)
        return [value_ms for _, value_ms in self._entries]

    def _expire(self, now_s: float) -> None:
        while self._entries and self._entries[0][0] <= now_s - self._window_s:
            self._entries.popleft()


@dataclass(frozen=True, kw_only=True)
class StreamTimes:
    """Statistics of the last second; `stages_ms` are medians, NaN for a stage that did not run."""

    rate_hz: float
    latency_ms: Percentiles
    age_ms: Percentiles
    inference_ms: float
    stages_ms: dict[str, float] = field(default_factory=dict)


class StreamMeter:
    """Latency statistics of one camera's labelled frames; thread-safe."""

    def __init__(self, window_s: float = 1.0) -> None:
        self._lock = threading.Lock()
        self._latency = RollingTimes(window_s)
        self._age = RollingTimes(window_s)
        self._inference = RollingTimes(window_s)
        self._stages = {stage: RollingTimes(window_s) for stage in STAGES}

    def add(self, *, latency_ms: float, age_ms: float, inference_ms: float, now_s: float) -> None:
        """Record a labelled frame: time since received, since its stamp, and in the model."""
        with self._lock:
            self._latency.add(latency_ms, now_s)
            self._age.add(age_ms, now_s)
            self._inference.add(inference_ms, now_s)

    def add_stages(self, stages_ms: Mapping[str, float], now_s: float) -> None:
        """Record the stage durations of a labelled frame; only `STAGES` are kept."""
        with self._lock:
            for stage, times in self._stages.items():
                if stage in stages_ms:
                    times.add(stages_ms[stage], now_s)

    def times(self, now_s: float) -> StreamTimes:
        """Return the rate, percentiles and medians as of `now_s`."""
        with self._lock:
            return StreamTimes(
                rate_hz=self._latency.rate_hz(now_s),
                latency_ms=self._latency.percentiles(now_s),
                age_ms=self._age.percentiles(now_s),
                inference_ms=self._inference.percentiles(now_s)[0],
                stages_ms={
                    stage: times.percentiles(now_s)[0] for stage, times in self._stages.items()
                },
            )
