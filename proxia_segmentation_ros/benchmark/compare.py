"""Compare two benchmark reports: which figures regressed by more than is allowed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxia_segmentation_ros.benchmark.report import PEAK, was_busy
from proxia_segmentation_ros.benchmark.trace import BASIC, OURS, STAGE
from proxia_segmentation_ros.errors import ConfigError, InputError

SENT, MISSED = f"{BASIC}NUM_FRAMES_SENT", f"{BASIC}NUM_MISSED_FRAMES"
RATE = f"{BASIC}MEAN_FRAME_RATE"
# Figures that may fail a comparison. Extremes, jitter and single stages are too noisy for that.
JUDGED = (
    RATE,
    MISSED,
    f"{OURS}P50_LATENCY",
    f"{OURS}P95_LATENCY",
    f"{OURS}MEAN_PROCESS_CPU_UTILIZATION",
    f"{OURS}MAX_PROCESS_MEMORY",
)
GROWTH = "growth_percent"
SHOWN = (*JUDGED, f"{OURS}P99_LATENCY", f"{OURS}STD_DEV_INTERVAL", STAGE, "added ", GROWTH)
CONDITIONS = (
    ("machine", "cpu"),
    ("machine", "cores"),
    ("machine", "flags"),
    ("subject", "name"),
    ("subject", "weights"),
    ("subject", "backend"),
    ("subject", "precision"),
    ("subject", "threads"),
    ("settings", "size"),
    ("settings", "source"),
)
RATIO = ", ratio"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One figure in both reports; only a judged figure can be a regression."""

    phase: str
    metric: str
    old: float
    new: float
    is_judged: bool
    is_regression: bool

    @property
    def ratio(self) -> float:
        """New divided by old; infinite where only old is zero."""
        if self.old:
            return self.new / self.old
        return float("inf") if self.new else 1.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All figures that both reports have, and reasons why they may not be comparable."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """Changes for the worse by more than the allowance."""
        return tuple(change for change in self.changes if change.is_regression)


def compare_reports(old_path: Path, new_path: Path, allowed: float) -> Comparison:
    """Compare two files; `allowed` 0.05 lets a figure become 5 % worse.

    Raises:
        InputError: a file is no report, or they have no figure in common.
    """
    old, new = read_report(old_path), read_report(new_path)
    changes = tuple(list_changes(old, new, allowed))
    if not changes:
        raise InputError.from_parts(
            f"{str(old_path)!r} and {str(new_path)!r} have no figure in common",
            "reports of the same kind of benchmark",
            "compare peak with peak, and a rate with the same rate",
        )
    return Comparison(changes=changes, warnings=tuple(list_warnings(old, new, allowed)))


def read_report(path: Path) -> dict[str, Any]:
    """Read a report.

    Raises:
        InputError: the file is missing or no report of a benchmark.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError.from_parts(
            f"{str(path)!r} can't be read: {error}", "a benchmark's JSON", "check the path"
        ) from error
    if not isinstance(content, dict) or "metadata" not in content:
        raise InputError.from_parts(
            f"{str(path)!r} has no metadata", "JSON of `proxia benchmark ... --out`", "measure anew"
        )
    return content


def read_allowance(text: str) -> float:
    """Return 0.05 for `5%` as for `0.05`.

    Raises:
        ConfigError: the text is no share from 0 to 1.
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigError.from_parts(f"--allow is {text!r}", "5% or 0.05, at most 1", "correct it")
    return share


def list_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], allowed: float
) -> Iterator[Change]:
    """Yield every figure that both reports have, phase by phase."""
    old_phases, new_phases = split_phases(old), split_phases(new)
    if name_baseline(old) != name_baseline(new):
        old_phases = {
            name: figures for name, figures in old_phases.items() if not name.endswith(RATIO)
        }
    for phase in old_phases:
        if phase in new_phases:
            yield from _compare_phase(phase, old_phases[phase], new_phases[phase], allowed)


def split_phases(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the figures at peak and at each rate, and the ratios to the baseline."""
    numbers = {name: value for name, value in report.items() if isinstance(value, int | float)}
    phases = {PEAK: numbers} if numbers else {}
    phases |= {name: figures for name, figures in report.items() if name.endswith("fps")}
    custom = report.get("custom", {})
    for phase, ratios in custom.get("ratios", {}).items():
        medians = {name: ratio["median"] for name, ratio in ratios.items()}
        phases[f"{phase}{RATIO}"] = medians
    if "memory" in custom:
        phases["memory"] = {GROWTH: custom["memory"][GROWTH]}
    return phases


def name_baseline(report: Mapping[str, Any]) -> str:
    """Return the name of a report's baseline; empty without one."""
    against = report.get("custom", {}).get("against", {})
    return str(against.get("subject", {}).get("name", ""))


def _compare_phase(
    phase: str, old: Mapping[str, float], new: Mapping[str, float], allowed: float
) -> Iterator[Change]:
    for metric in old:
        if metric not in new or not metric.startswith(SHOWN):
            continue
        # At peak the camera is faster than the model, so frames are always missed.
        is_judged = metric in JUDGED and not (metric == MISSED and phase == PEAK)
        yield Change(
            phase=phase,
            metric=metric,
            old=old[metric],
            new=new[metric],
            is_judged=is_judged,
            is_regression=is_judged and _is_worse(metric, old, new, allowed),
        )


def _is_worse(
    metric: str, old: Mapping[str, float], new: Mapping[str, float], allowed: float
) -> bool:
    if metric == MISSED:
        shares = [figures[MISSED] / max(1.0, figures.get(SENT, 0.0)) for figures in (old, new)]
        return shares[1] - shares[0] > allowed
    if metric == RATE:
        return new[metric] < old[metric] * (1 - allowed)
    return new[metric] > old[metric] * (1 + allowed)


def list_warnings(old: Mapping[str, Any], new: Mapping[str, Any], allowed: float) -> Iterator[str]:
    """Yield what makes the two reports hard to compare."""
    old_custom, new_custom = old.get("custom", {}), new.get("custom", {})
    for group, name in CONDITIONS:
        before, after = (custom.get(group, {}).get(name) for custom in (old_custom, new_custom))
        if before != after:
            yield f"{group} {name}: {_show(before)} before, {_show(after)} now"
    for when, custom in (("before", old_custom), ("now", new_custom)):
        machine = custom.get("machine", {})
        if was_busy(machine):
            yield f"others kept {machine['busy_cores']:g} cores of the machine busy {when}"
    yield from _warn_of_baseline(old, new, allowed)


def _warn_of_baseline(
    old: Mapping[str, Any], new: Mapping[str, Any], allowed: float
) -> Iterator[str]:
    """Yield a warning where the baseline changed: then the machine did, not the subject."""
    names = name_baseline(old), name_baseline(new)
    if names[0] != names[1]:
        yield f"measured by {names[0] or 'nothing'} before, {names[1] or 'nothing'} now: no ratios"
    if names[0] != names[1] or not names[0]:
        return
    before, after = (split_phases(report["custom"]["against"]) for report in (old, new))
    for phase in before:
        rates = [phases.get(phase, {}).get(RATE, 0.0) for phases in (before, after)]
        if all(rates) and abs(rates[1] / rates[0] - 1) > allowed:
            yield (
                f"{names[0]} at {phase} runs "
                f"{rates[1] / rates[0]:.2f} times as fast as before: compare the ratios instead"
            )


def _show(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value)) or "none"
    return "unknown" if value is None else str(value)
