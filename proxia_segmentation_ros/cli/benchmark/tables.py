"""Reports of benchmarks as tables."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from proxia_segmentation_ros.benchmark.compare import Comparison, split_phases
from proxia_segmentation_ros.benchmark.report import OTHER_VARIANTS, was_busy
from proxia_segmentation_ros.benchmark.trace import BASIC, OURS, STAGE

RATE = f"{BASIC}MEAN_FRAME_RATE"
P50 = f"{OURS}P50_LATENCY"
COLUMNS = {
    "frames/s": RATE,
    "p50 ms": P50,
    "p95 ms": f"{OURS}P95_LATENCY",
    "p99 ms": f"{OURS}P99_LATENCY",
    "gap std ms": f"{OURS}STD_DEV_INTERVAL",
    "missed": f"{BASIC}NUM_MISSED_FRAMES",
    "sent": f"{BASIC}NUM_FRAMES_SENT",
    "CPU %": f"{OURS}MEAN_PROCESS_CPU_UTILIZATION",
    "MiB": f"{OURS}MAX_PROCESS_MEMORY",
}
STAGE_ORDER = ("RECEIVE", "DECODE", "PRE", "INFER", "POST", "PUBLISH", "OBJECTS")
RATIO_COLUMNS = {
    "frames/s": RATE,
    "p50": P50,
    "CPU": f"{OURS}MEAN_PROCESS_CPU_UTILIZATION",
    "added p50 ms": f"added {P50}",
}
WIDE = 120


def print_report(report: Mapping[str, Any]) -> None:
    """Print the figures, their ratios, the stages and remarks."""
    console = _make_console()
    console.print(_make_figures_table(report))
    custom = report["custom"]
    if custom.get("ratios"):
        console.print(_make_ratio_table(custom["subject"], custom["against"], custom["ratios"]))
    if "alone" in custom:
        alone = custom["alone"]
        console.print(_make_ratio_table(custom["subject"], alone, alone["ratios"]))
    stages = _make_stage_table(report)
    if stages.row_count:
        console.print(stages)
    for line in list_remarks(report):
        console.print(line, highlight=False, markup=False)


def _make_console() -> Console:
    """Return a console that does not wrap at 80 columns when its output goes to a file."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


def _list_rows(report: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, float]]]:
    """Yield variant, phase and figures."""
    custom = report["custom"]
    variants = [report, *(custom[name] for name in OTHER_VARIANTS if name in custom)]
    subjects = [custom["subject"], *(other["subject"] for other in variants[1:])]
    for variant, subject in zip(variants, subjects, strict=True):
        for phase, figures in split_phases(variant).items():
            if phase == "peak" or phase.endswith("fps"):
                # Brackets around a list of scales are not markup.
                yield escape(subject["name"]), phase, figures


def _make_figures_table(report: Mapping[str, Any]) -> Table:
    settings, machine = report["custom"]["settings"], report["custom"]["machine"]
    title = f"{settings['size']}, {machine['cpu']}, {machine['cores']} cores"
    table = Table("", "at", title=title)
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for variant, phase, figures in _list_rows(report):
        cells = [_show(figures.get(metric)) for metric in COLUMNS.values()]
        table.add_row(variant, phase, *cells)
    return table


def _make_ratio_table(
    subject: Mapping[str, Any], other: Mapping[str, Any], ratios: Mapping[str, Any]
) -> Table:
    names = [escape(described["name"]) for described in (subject, other["subject"])]
    table = Table("at", title=f"{names[0]} / {names[1]}: median of rounds (least to most)")
    for name in RATIO_COLUMNS:
        table.add_column(name, justify="right")
    for phase, found in ratios.items():
        table.add_row(phase, *(_show_rounds(found.get(name)) for name in RATIO_COLUMNS.values()))
    return table


def _make_stage_table(report: Mapping[str, Any]) -> Table:
    table = Table("stages, median ms", "at")
    rows = [row for row in _list_rows(report) if any(name.startswith(STAGE) for name in row[2])]
    used = [
        name for name in STAGE_ORDER if any(f"{STAGE}{name}" in figures for _, _, figures in rows)
    ]
    for name in used:
        table.add_column(name.lower(), justify="right")
    for variant, phase, figures in rows:
        table.add_row(variant, phase, *(_show(figures.get(f"{STAGE}{name}")) for name in used))
    return table


def list_remarks(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what ran, and what qualifies the figures."""
    custom = report["custom"]
    others = [custom[key]["subject"] for key in OTHER_VARIANTS if key in custom]
    for subject in (custom["subject"], *others):
        parts = [
            f"{key} {subject[key]}" for key in ("weights", "backend", "precision") if key in subject
        ]
        if parts:
            yield f"{subject['name']}: {', '.join(parts)}"
    if was_busy(custom["machine"]):
        yield (
            f"others kept {custom['machine']['busy_cores']:g} cores busy before the start: end "
            "them and measure again"
        )
    if custom.get("is_saturated") is False:
        yield "every frame at peak was labelled in some round: raise --saturate"
    if "memory" in custom:
        memory = custom["memory"]
        yield (
            f"memory grew by {memory['growth_percent']:.2f} %, from {memory['start_mib']:.1f} to "
            f"{memory['end_mib']:.1f} MiB (highest {memory['highest_mib']:.1f})"
        )
    if "killed_camera" in custom:
        killed = custom["killed_camera"]
        for name, text in (("undisturbed", "undisturbed"), ("other_killed", "the other killed")):
            figures = killed[name]
            yield f"{text}: the camera missed {figures['missed']} of {figures['sent']} frames"


def print_comparison(comparison: Comparison) -> None:
    """Print every figure of both reports, and the warnings."""
    console = _make_console()
    table = Table("at", "figure")
    for name in ("old", "new", "new / old", ""):
        table.add_column(name, justify="right")
    for change in comparison.changes:
        verdict = "worse" if change.is_regression else "" if change.is_judged else "not judged"
        metric = change.metric.replace(BASIC, "").replace(OURS, "")
        values = (_show(value) for value in (change.old, change.new, change.ratio))
        table.add_row(change.phase, metric, *values, verdict)
    console.print(table)
    for warning in comparison.warnings:
        console.print(f"warning: {warning}", highlight=False, markup=False)
    count = len(comparison.regressions)
    console.print(f"{count} figures became worse than allowed" if count else "nothing became worse")


def _show(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    if isinstance(value, int):
        return str(value)
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def _show_rounds(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "-"
    return f"{found['median']:.2f} ({min(found['rounds']):.2f} to {max(found['rounds']):.2f})"
