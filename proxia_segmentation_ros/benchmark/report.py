"""The report of a benchmark, in the shape of NVIDIA-ISAAC-ROS/ros2_benchmark's JSON.

On top stand the figures at peak throughput, below `10.0fps` and the like those at fixed rates,
below `metadata` where and when. What that tool has no place for stands below `custom`: what ran,
the figures of what it was compared with (`against`, of the same shape) and the ratios; `alone`, of
that shape and with ratios too, is one of two cameras.
"""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

from proxia_segmentation_ros.backends.precision import describe_cpu, read_cpu_flags
from proxia_segmentation_ros.benchmark.process_load import measure_busy_cores
from proxia_segmentation_ros.benchmark.rounds import PEAK_HZ, Measured
from proxia_segmentation_ros.benchmark.trace import BASIC, OURS, Trace, measure_performance

METADATA = "BenchmarkMetadata."
PEAK = "peak"
DIGITS = 4
TOTALLED = (f"{BASIC}NUM_FRAMES_SENT", f"{BASIC}NUM_MISSED_FRAMES")
PERCENTILES = {f"{OURS}P50_LATENCY": 50, f"{OURS}P95_LATENCY": 95, f"{OURS}P99_LATENCY": 99}
# Figures whose ratio between two sides means something, and those with a difference of their own.
COMPARED = (
    f"{BASIC}MEAN_FRAME_RATE",
    f"{OURS}P50_LATENCY",
    f"{OURS}P95_LATENCY",
    f"{OURS}MEAN_PROCESS_CPU_UTILIZATION",
)
COMPARED_AT_PEAK = (COMPARED[0], COMPARED[-1])
SUBTRACTED = (f"{OURS}P50_LATENCY",)
# One other process takes a whole core, an idle system a few hundredths of one.
QUIET_CORES = 0.25
# What a report may hold below `custom` beside its subject, each with a subject of its own.
OTHER_SIDES = ("against", "alone")
TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def conclude(traces: Sequence[Trace]) -> dict[str, float]:
    """Return one figure for all rounds: frames in total, extremes, percentiles of all frames.

    Everything else is the median of the rounds.
    """
    rounds = [measure_performance(trace) for trace in traces]
    names = dict.fromkeys(name for figures in rounds for name in figures)
    concluded = {
        name: _conclude_one(name, [figures[name] for figures in rounds if name in figures])
        for name in names
    }
    latencies_ms = [time_ms for trace in traces for time_ms in trace.list_latencies_ms()]
    if latencies_ms:
        for name, percent in PERCENTILES.items():
            concluded[name] = float(np.percentile(latencies_ms, percent))
    return {name: round(value, DIGITS) for name, value in concluded.items()}


def _conclude_one(name: str, values: Sequence[float]) -> float:
    if name in TOTALLED:
        return sum(values)
    _, _, metric = name.partition(".")
    if metric.startswith("MAX_"):
        return max(values)
    if metric.startswith("MIN_"):
        return min(values)
    return statistics.median(values)


def describe_measured(measured: Measured) -> dict[str, Any]:
    """Return the figures of one side: those at peak on top, those of rates below their names."""
    report: dict[str, Any] = dict(conclude(measured.traces.get(PEAK_HZ, ())))
    for rate_hz, traces in sorted(measured.traces.items()):
        if rate_hz != PEAK_HZ:
            report[name_rate(rate_hz)] = conclude(traces)
    return report


def compare_rounds(main: Measured, against: Measured) -> dict[str, Any]:
    """Return by rate what the figures of `main` are in those of `against`, round by round."""
    ratios: dict[str, Any] = {}
    for rate_hz in sorted(set(main.traces) & set(against.traces)):
        pairs = [
            (measure_performance(one), measure_performance(other))
            for one, other in zip(main.traces[rate_hz], against.traces[rate_hz], strict=True)
        ]
        # At peak a frame waits for the model on purpose: its latency says less than the rate.
        is_peak = rate_hz == PEAK_HZ
        found = {name: _divide(pairs, name) for name in (COMPARED_AT_PEAK if is_peak else COMPARED)}
        if not is_peak:
            found |= {f"added {name}": _subtract(pairs, name) for name in SUBTRACTED}
        ratios[name_rate(rate_hz)] = {name: one for name, one in found.items() if one}
    return ratios


def _divide(
    pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]], name: str
) -> dict[str, Any]:
    return _summarize(
        [one[name] / two[name] for one, two in pairs if one.get(name) and two.get(name)]
    )


def _subtract(
    pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]], name: str
) -> dict[str, Any]:
    return _summarize([one[name] - two[name] for one, two in pairs if name in one and name in two])


def _summarize(values: Sequence[float]) -> dict[str, Any]:
    if not values:
        return {}
    return {
        "median": round(statistics.median(values), DIGITS),
        "rounds": [round(value, DIGITS) for value in values],
    }


def make_report(
    title: str,
    main: Measured,
    against: Measured | None,
    settings: Mapping[str, Any],
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the whole report; `settings` are the benchmark's, `machine` as before its start."""
    custom: dict[str, Any] = {
        "subject": {"name": main.name, **main.description},
        "settings": dict(settings),
        "machine": dict(machine),
    }
    if against is not None:
        custom["against"] = describe_side(main, against)
        custom["ratios"] = custom["against"].pop("ratios")
    return {**describe_measured(main), "custom": custom, "metadata": describe_run(title, settings)}


def describe_side(main: Measured, other: Measured) -> dict[str, Any]:
    """Return what the other one is, its figures, and what those of `main` are in its `ratios`."""
    subject = {"name": other.name, **other.description}
    ratios = compare_rounds(main, other)
    return {"subject": subject, **describe_measured(other), "ratios": ratios}


def describe_machine() -> dict[str, Any]:
    """Return what figures depend on beside the program; call it before the benchmark's own work."""
    flags = read_cpu_flags()
    return {
        "cpu": describe_cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in TELLING_FLAGS if flag in flags],
        "busy_cores": round(measure_busy_cores(), 2),
    }


def was_busy(machine: Mapping[str, Any]) -> bool:
    """Whether others worked on the machine just before a benchmark began."""
    return bool(machine.get("busy_cores", 0.0) > QUIET_CORES)


def describe_run(title: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata under ros2_benchmark's names."""
    system = platform.uname()
    return {
        f"{METADATA}NAME": title,
        f"{METADATA}TEST_DATETIME": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        f"{METADATA}DEVICE_HOSTNAME": system.node,
        f"{METADATA}DEVICE_ARCH": system.machine,
        f"{METADATA}DEVICE_OS": f"{system.system} {system.release} {system.version}",
        f"{METADATA}INPUT_DATA_PATH": str(settings.get("source", "")),
        f"{METADATA}DATA_RESOLUTION": str(settings.get("size", "")),
    }


def name_rate(rate_hz: float) -> str:
    """Return the name of the figures at a rate, as ros2_benchmark writes it."""
    return PEAK if rate_hz == PEAK_HZ else f"{float(rate_hz)}fps"
