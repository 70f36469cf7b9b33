"""The report of a benchmark, in the shape of NVIDIA-ISAAC-ROS/ros2_benchmark's JSON.

The top level has the figures at peak throughput, keys like `10.0fps` those at fixed rates, and
`metadata` where and when. `custom` has what that format lacks: the subject, the figures of its
baseline (`against`, of the same shape), and the ratios of the two. `alone`, of that shape and with
ratios of its own, is one of two cameras.
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
from proxia_segmentation_ros.benchmark.rounds import PEAK_HZ, Measurement
from proxia_segmentation_ros.benchmark.trace import BASIC, OURS, Trace, measure_performance

METADATA = "BenchmarkMetadata."
PEAK = "peak"
DIGITS = 4
SUMMED = (f"{BASIC}NUM_FRAMES_SENT", f"{BASIC}NUM_MISSED_FRAMES")
PERCENTILES = {f"{OURS}P50_LATENCY": 50, f"{OURS}P95_LATENCY": 95, f"{OURS}P99_LATENCY": 99}
# Figures whose ratio of two variants is reported, and those whose difference is reported as well.
COMPARED = (
    f"{BASIC}MEAN_FRAME_RATE",
    f"{OURS}P50_LATENCY",
    f"{OURS}P95_LATENCY",
    f"{OURS}MEAN_PROCESS_CPU_UTILIZATION",
)
COMPARED_AT_PEAK = (COMPARED[0], COMPARED[-1])
SUBTRACTED = (f"{OURS}P50_LATENCY",)
# One other busy process takes a whole core, an idle system a few hundredths of one.
QUIET_CORES = 0.25
# Keys below `custom` of variants beside the subject.
OTHER_VARIANTS = ("against", "alone")
TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def aggregate(traces: Sequence[Trace]) -> dict[str, float]:
    """Return the figures of all rounds: sums of frames, extremes, percentiles over all frames.

    All others are medians of the rounds.
    """
    rounds = [measure_performance(trace) for trace in traces]
    names = dict.fromkeys(name for figures in rounds for name in figures)
    aggregated = {
        name: _aggregate_metric(name, [figures[name] for figures in rounds if name in figures])
        for name in names
    }
    latencies_ms = [time_ms for trace in traces for time_ms in trace.list_latencies_ms()]
    if latencies_ms:
        for name, percent in PERCENTILES.items():
            aggregated[name] = float(np.percentile(latencies_ms, percent))
    return {name: round(value, DIGITS) for name, value in aggregated.items()}


def _aggregate_metric(name: str, values: Sequence[float]) -> float:
    if name in SUMMED:
        return sum(values)
    _, _, metric = name.partition(".")
    if metric.startswith("MAX_"):
        return max(values)
    if metric.startswith("MIN_"):
        return min(values)
    return statistics.median(values)


def describe_measurement(measurement: Measurement) -> dict[str, Any]:
    """Return the figures of one variant: at peak on the top level, others below the rate's name."""
    report: dict[str, Any] = dict(aggregate(measurement.traces.get(PEAK_HZ, ())))
    for rate_hz, traces in sorted(measurement.traces.items()):
        if rate_hz != PEAK_HZ:
            report[name_rate(rate_hz)] = aggregate(traces)
    return report


def compare_rounds(subject: Measurement, baseline: Measurement) -> dict[str, Any]:
    """Return by rate the ratios of the subject's figures to the baseline's, round by round."""
    ratios: dict[str, Any] = {}
    for rate_hz in sorted(set(subject.traces) & set(baseline.traces)):
        pairs = [
            (measure_performance(measured), measure_performance(reference))
            for measured, reference in zip(
                subject.traces[rate_hz], baseline.traces[rate_hz], strict=True
            )
        ]
        # At peak a frame always waits for the model, which makes its latency meaningless.
        is_peak = rate_hz == PEAK_HZ
        found = {name: _divide(pairs, name) for name in (COMPARED_AT_PEAK if is_peak else COMPARED)}
        if not is_peak:
            found |= {f"added {name}": _subtract(pairs, name) for name in SUBTRACTED}
        ratios[name_rate(rate_hz)] = {name: ratio for name, ratio in found.items() if ratio}
    return ratios


def _divide(
    pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]], name: str
) -> dict[str, Any]:
    return _summarize(
        [
            measured[name] / reference[name]
            for measured, reference in pairs
            if measured.get(name) and reference.get(name)
        ]
    )


def _subtract(
    pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]], name: str
) -> dict[str, Any]:
    return _summarize(
        [
            measured[name] - reference[name]
            for measured, reference in pairs
            if name in measured and name in reference
        ]
    )


def _summarize(values: Sequence[float]) -> dict[str, Any]:
    if not values:
        return {}
    return {
        "median": round(statistics.median(values), DIGITS),
        "rounds": [round(value, DIGITS) for value in values],
    }


def make_report(
    title: str,
    subject: Measurement,
    baseline: Measurement | None,
    settings: Mapping[str, Any],
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the whole report; `machine` is from before the benchmark started."""
    custom: dict[str, Any] = {
        "subject": {"name": subject.name, **subject.description},
        "settings": dict(settings),
        "machine": dict(machine),
    }
    if baseline is not None:
        custom["against"] = describe_variant(subject, baseline)
        custom["ratios"] = custom["against"].pop("ratios")
    return {
        **describe_measurement(subject),
        "custom": custom,
        "metadata": describe_metadata(title, settings),
    }


def describe_variant(subject: Measurement, variant: Measurement) -> dict[str, Any]:
    """Return what the variant is, its figures, and the `ratios` of the subject to it."""
    return {
        "subject": {"name": variant.name, **variant.description},
        **describe_measurement(variant),
        "ratios": compare_rounds(subject, variant),
    }


def describe_machine() -> dict[str, Any]:
    """Return what figures depend on beside the program; call it before the benchmark makes load."""
    flags = read_cpu_flags()
    return {
        "cpu": describe_cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in TELLING_FLAGS if flag in flags],
        "busy_cores": round(measure_busy_cores(), 2),
    }


def was_busy(machine: Mapping[str, Any]) -> bool:
    """Whether other processes kept the machine busy just before the benchmark."""
    return bool(machine.get("busy_cores", 0.0) > QUIET_CORES)


def describe_metadata(title: str, settings: Mapping[str, Any]) -> dict[str, Any]:
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
