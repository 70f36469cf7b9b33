"""A benchmark's report as one picture: frames a second, latency, stages, or memory over frames."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxia_segmentation_ros.benchmark.compare import RATE, RATIO, split_phases
from proxia_segmentation_ros.benchmark.optional_dependencies import import_extra
from proxia_segmentation_ros.benchmark.report import OTHER_VARIANTS
from proxia_segmentation_ros.benchmark.trace import OURS, STAGE
from proxia_segmentation_ros.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
PANEL_INCHES = (5.2, 4.4)
DPI = 120
INK, FAINT = "#2b2b2b", "#dddddd"
VARIANT_COLOURS = ("#2a6fbb", "#e08a2e", "#4c9f5b")
# None of them is a variant's.
STAGE_COLOURS = {
    "RECEIVE": "#b9b9b9",
    "DECODE": "#8e6bbf",
    "PRE": "#7cc7b8",
    "INFER": "#3d4f66",
    "POST": "#93acc6",
    "PUBLISH": "#ecc94b",
    "OBJECTS": "#cf5563",
}
LATENCIES = tuple(f"{OURS}{name}_LATENCY" for name in ("P50", "P95", "P99"))
STYLE = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "ytick.major.size": 0,
    "xtick.major.size": 0,
    # Text stays text, which can be searched and scaled.
    "svg.fonttype": "none",
}
# Of a group, whose width is 1.
GROUP_WIDTH, BAR_WIDTH, MAX_BAR_WIDTH = 0.76, 0.92, 0.3
# Between a stack and the name of its phase, in panel heights.
STRIP = (-0.035, -0.012)
# More bars than that are too narrow for their values.
MAX_VALUES = 14
WRAP_LETTERS = 48

# Figures of one variant by phase: at peak, at each rate.
Phases = Mapping[str, Mapping[str, float]]


def write_plot(report: Mapping[str, Any], path: Path) -> None:
    """Draw what the report holds, as PNG or SVG by the suffix of the path.

    Raises:
        ConfigError: matplotlib is not installed.
        InputError: the picture can't be written there.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError.from_parts(
            f"plot {str(path)!r} can't be written",
            f"a file that ends in {' or '.join(SUFFIXES)}",
            "rename it",
        )
    matplotlib = import_extra("matplotlib")
    with matplotlib.rc_context(STYLE):
        figure = draw_report(report)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, dpi=DPI)
        except OSError as error:
            raise InputError.from_parts(
                f"plot {str(path)!r} can't be written: {error.strerror}",
                "a folder that may be written",
                "choose another path",
            ) from error


def draw_report(report: Mapping[str, Any]) -> "Figure":
    """Return the figure: one panel for memory, or two to three for speed."""
    memory = report["custom"].get("memory")
    variants = {} if memory is not None else _list_variants(report)
    stages = {name: _list_stages(phases) for name, phases in variants.items()}
    panels = 1 if memory is not None else 3 if any(stages.values()) else 2
    figure_class = import_extra("matplotlib.figure").Figure
    figure: Figure = figure_class(
        figsize=(PANEL_INCHES[0] * panels, PANEL_INCHES[1]), layout="constrained"
    )
    all_axes = figure.subplots(1, panels, squeeze=False)[0]
    if memory is not None:
        draw_curve(all_axes[0], memory["curve"])
    else:
        draw_bars(all_axes[0], "frames a second", variants, [RATE])
        draw_bars(
            all_axes[1], "latency in ms: bar and number p50, ticks p95 and p99", variants, LATENCIES
        )
        _write_legend(figure, list(variants))
    if panels == 3:
        draw_stacks(all_axes[2], "stages in ms, medians; below each stack its variant", stages)
    title = _make_title(report)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure


def _make_title(report: Mapping[str, Any]) -> str:
    """Return what was measured and where, as far as the report tells."""
    custom, metadata = report["custom"], report.get("metadata", {})
    machine = custom.get("machine", {})
    parts = [
        metadata.get("BenchmarkMetadata.NAME"),
        custom.get("settings", {}).get("size"),
        machine.get("cpu"),
        f"{machine['cores']} cores" if "cores" in machine else None,
    ]
    return ", ".join(part for part in parts if part)


def _list_variants(report: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """Return figures by variant and phase."""
    custom = report["custom"]
    variants = {custom["subject"]["name"]: _drop_ratios(split_phases(report))}
    for other in (custom[key] for key in OTHER_VARIANTS if key in custom):
        name = other["subject"]["name"]
        # A variant may be measured against itself.
        name = f"{name} (2)" if name in variants else name
        variants[name] = _drop_ratios(split_phases(other))
    return variants


def _drop_ratios(phases: Mapping[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {phase: figures for phase, figures in phases.items() if not phase.endswith(RATIO)}


def _list_stages(phases: Phases) -> dict[str, dict[str, float]]:
    """Return stage times by phase, in the order in which a frame passes them."""
    found = {
        phase: {
            stage: figures[f"{STAGE}{stage}"]
            for stage in STAGE_COLOURS
            if f"{STAGE}{stage}" in figures
        }
        for phase, figures in phases.items()
    }
    return {phase: stages for phase, stages in found.items() if stages}


def draw_bars(
    axes: "Axes", title: str, variants: Mapping[str, Phases], metrics: Sequence[str]
) -> None:
    """Draw groups of bars by phase; metrics after the first are ticks on a line above the bar."""
    groups = _prepare(axes, title, variants)
    width = _choose_width(len(variants))
    for place, phases in enumerate(variants.values()):
        for phase, figures in phases.items():
            values = [figures[metric] for metric in metrics if metric in figures]
            if not values:
                continue
            x = _place_bar(groups.index(phase), place, len(variants))
            axes.bar(x, values[0], BAR_WIDTH * width, color=VARIANT_COLOURS[place])
            if values[1:]:
                axes.plot([x] * len(values), values, color=INK, linewidth=1)
                tick = 0.14 * width
                axes.hlines(values[1:], x - tick, x + tick, color=INK, linewidth=1.4)
            if len(groups) * len(variants) <= MAX_VALUES:
                _write_above(axes, x, max(values), values[0])


def draw_stacks(axes: "Axes", title: str, variants: Mapping[str, Phases]) -> None:
    """Draw a stack of stages for each variant in groups by phase, the variant's colour below it."""
    groups = _prepare(axes, title, variants)
    axes.tick_params(axis="x", pad=9)
    width = _choose_width(len(variants))
    drawn: dict[str, Any] = {}
    for place, phases in enumerate(variants.values()):
        for phase, stages in phases.items():
            x, floor_ms = _place_bar(groups.index(phase), place, len(variants)), 0.0
            for stage, time_ms in stages.items():
                colour = STAGE_COLOURS[stage]
                drawn[stage] = axes.bar(
                    x, time_ms, BAR_WIDTH * width, bottom=floor_ms, color=colour
                )
                floor_ms += time_ms
            if len(groups) * len(variants) <= MAX_VALUES:
                _write_above(axes, x, floor_ms, floor_ms)
            left, right = x - BAR_WIDTH * width / 2, x + BAR_WIDTH * width / 2
            strip = axes.axvspan(left, right, *STRIP, color=VARIANT_COLOURS[place], linewidth=0)
            strip.set_clip_on(False)
    used = [stage for stage in STAGE_COLOURS if stage in drawn]
    axes.legend(
        # Top to bottom as in the stacks.
        [drawn[stage] for stage in reversed(used)],
        [stage.lower() for stage in reversed(used)],
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        handlelength=1.0,
        handleheight=1.0,
    )


def draw_curve(axes: "Axes", points: Sequence[Sequence[float]]) -> None:
    """Draw memory over frames, from 0 MiB on, so that growth looks as large as it is."""
    frames, memory_mib = zip(*points, strict=True)
    axes.set_title("resident memory in MiB over frames")
    axes.grid(axis="y", color=FAINT)
    axes.set_axisbelow(True)
    axes.plot(frames, memory_mib, color=VARIANT_COLOURS[0], linewidth=2)
    axes.set_ylim(0, 1.1 * max(memory_mib))
    axes.margins(x=0)
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _prepare(axes: "Axes", title: str, variants: Mapping[str, Phases]) -> list[str]:
    """Set the panel up; returns the phases, one group each."""
    groups = list(dict.fromkeys(phase for phases in variants.values() for phase in phases))
    axes.set_title(title)
    axes.grid(axis="y", color=FAINT)
    axes.set_axisbelow(True)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.margins(y=0.1)
    return groups


def _place_bar(group: int, place: int, places: int) -> float:
    """Return the middle of one bar in one group."""
    return group + _choose_width(places) * (place + 0.5 - places / 2)


def _choose_width(places: int) -> float:
    return min(GROUP_WIDTH / places, MAX_BAR_WIDTH)


def _write_above(axes: "Axes", x: float, y: float, value: float) -> None:
    text = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    axes.annotate(text, (x, y), (0, 3), textcoords="offset points", ha="center", fontsize=8)


def _write_legend(figure: "Figure", names: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(color=colour, label=textwrap.fill(name, WRAP_LETTERS))
        for name, colour in zip(names, VARIANT_COLOURS, strict=False)
    ]
    figure.legend(
        handles=patches,
        loc="outside lower left",
        ncols=len(names),
        frameon=False,
        handlelength=1.0,
        handleheight=1.0,
    )
