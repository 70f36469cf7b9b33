"""When frames went in and results came out during one run, and the figures computed from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from typing_extensions import Self

# The names of NVIDIA-ISAAC-ROS/ros2_benchmark, for what means the same there.
BASIC = "BasicPerformanceMetrics."
OURS = "ProxiaMetrics."
STAGE = f"{OURS}STAGE_"
MS = 1e3


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Seconds of one clock by frame: when it was due at the model, and when its result came.

    `stages_ms` holds times of single frames by stage, `gauges` other figures of single frames by
    name, `load` figures of the machine under their report names.
    """

    sent_s: Mapping[int, float]
    received_s: Mapping[int, float]
    stages_ms: Mapping[str, Sequence[float]] = field(default_factory=dict)
    gauges: Mapping[str, Sequence[float]] = field(default_factory=dict)
    load: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned; JSON's keys are texts."""
        return cls(
            sent_s={int(key): value for key, value in content["sent_s"].items()},
            received_s={int(key): value for key, value in content["received_s"].items()},
            stages_ms=content["stages_ms"],
            gauges=content["gauges"],
        )

    def to_json(self) -> dict[str, Any]:
        """Return all but the load, which the process that watches this one adds."""
        return {
            "sent_s": dict(self.sent_s),
            "received_s": dict(self.received_s),
            "stages_ms": {name: list(times) for name, times in self.stages_ms.items()},
            "gauges": {name: list(values) for name, values in self.gauges.items()},
        }

    def with_load(self, load: Mapping[str, float]) -> "Trace":
        """Return a copy with figures of the machine."""
        return replace(self, load=load)

    def list_latencies_ms(self) -> list[float]:
        """Return milliseconds from due to result, for the frames that have one."""
        return [
            MS * (self.received_s[key] - sent_s)
            for key, sent_s in self.sent_s.items()
            if key in self.received_s
        ]

    @property
    def missed(self) -> int:
        """Number of frames that were due and have no result."""
        return sum(key not in self.received_s for key in self.sent_s)


def merge_traces(traces: Sequence[Trace]) -> Trace:
    """Return the traces of cameras that published at the same time as one."""
    sent_s: dict[int, float] = {}
    received_s: dict[int, float] = {}
    stages_ms: dict[str, list[float]] = {}
    gauges: dict[str, list[float]] = {}
    for place, trace in enumerate(traces):
        # Stamps of two cameras may be equal: make the keys distinct.
        sent_s |= {len(traces) * key + place: at for key, at in trace.sent_s.items()}
        received_s |= {len(traces) * key + place: at for key, at in trace.received_s.items()}
        for source, merged in ((trace.stages_ms, stages_ms), (trace.gauges, gauges)):
            for name, values in source.items():
                merged.setdefault(name, []).extend(values)
    return Trace(sent_s=sent_s, received_s=received_s, stages_ms=stages_ms, gauges=gauges)


def measure_performance(trace: Trace) -> dict[str, float]:
    """Return the figures of one run by their report names, without those that it can't give."""
    sent = np.sort(np.fromiter(trace.sent_s.values(), float))
    received = np.sort(np.fromiter(trace.received_s.values(), float))
    figures: dict[str, float] = {
        f"{BASIC}NUM_FRAMES_SENT": len(sent),
        f"{BASIC}NUM_MISSED_FRAMES": trace.missed,
    }
    if len(sent) > 1:
        figures[f"{BASIC}MEAN_PLAYBACK_FRAME_RATE"] = _measure_rate(sent)
    if len(received) > 1:
        figures[f"{BASIC}RECEIVED_DURATION"] = MS * float(received[-1] - received[0])
        figures[f"{BASIC}MEAN_FRAME_RATE"] = _measure_rate(received)
    if len(sent) and len(received):
        figures[f"{BASIC}FIRST_SENT_RECEIVED_LATENCY"] = MS * float(received[0] - sent[0])
        figures[f"{BASIC}LAST_SENT_RECEIVED_LATENCY"] = MS * float(received[-1] - sent[-1])
    return {
        **figures,
        **_measure_latency(trace),
        **_measure_jitter(received),
        **{
            f"{STAGE}{name.upper()}": float(np.median(times))
            for name, times in trace.stages_ms.items()
            if len(times)
        },
        **{
            f"{OURS}MEAN_{name.upper()}": float(np.mean(values))
            for name, values in trace.gauges.items()
            if len(values)
        },
        **trace.load,
    }


def _measure_rate(moments_s: np.ndarray) -> float:
    """Return frames a second from the first frame to the last."""
    return (len(moments_s) - 1) / max(float(moments_s[-1] - moments_s[0]), 1e-9)


def _measure_latency(trace: Trace) -> dict[str, float]:
    latencies_ms = trace.list_latencies_ms()
    if not latencies_ms:
        return {}
    p50, p95, p99 = np.percentile(latencies_ms, (50, 95, 99)).tolist()
    return {
        f"{BASIC}FIRST_INPUT_LATENCY": latencies_ms[0],
        f"{BASIC}LAST_INPUT_LATENCY": latencies_ms[-1],
        f"{BASIC}MAX_LATENCY": max(latencies_ms),
        f"{BASIC}MIN_LATENCY": min(latencies_ms),
        f"{BASIC}MEAN_LATENCY": float(np.mean(latencies_ms)),
        f"{OURS}P50_LATENCY": p50,
        f"{OURS}P95_LATENCY": p95,
        f"{OURS}P99_LATENCY": p99,
    }


def _measure_jitter(received_s: np.ndarray) -> dict[str, float]:
    """Return how much gaps between results change from one to the next, and their spread."""
    if len(received_s) < 3:
        return {}
    gaps_ms = MS * np.diff(received_s)
    changes_ms = np.abs(np.diff(gaps_ms))
    p50, p99 = np.percentile(gaps_ms, (50, 99)).tolist()
    return {
        f"{BASIC}MAX_JITTER": float(changes_ms.max()),
        f"{BASIC}MIN_JITTER": float(changes_ms.min()),
        f"{BASIC}MEAN_JITTER": float(changes_ms.mean()),
        f"{BASIC}STD_DEV_JITTER": float(changes_ms.std()),
        f"{OURS}STD_DEV_INTERVAL": float(gaps_ms.std()),
        f"{OURS}P99_MINUS_P50_INTERVAL": p99 - p50,
    }
