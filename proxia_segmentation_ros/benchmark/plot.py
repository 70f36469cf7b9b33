"""A benchmark's report as one picture: frames a second, latency, stages, or memory over frames."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from proxia_segmentation_ros.benchmark.compare import RATE, RATIO, split_phases
from proxia_segmentation_ros.benchmark.report import OTHER_SIDES
from proxia_segmentation_ros.benchmark.trace import OURS, STAGE
from proxia_segmentation_ros.errors import InputError

FONT = cv2.FONT_HERSHEY_SIMPLEX
INK_RGB, FAINT_RGB, PAPER_RGB = (40, 40, 40), (205, 205, 205), (255, 255, 255)
SIDES_RGB = ((31, 99, 170), (214, 120, 34), (60, 140, 70))
STAGES_RGB = {
    "RECEIVE": (150, 150, 150),
    "DECODE": (123, 94, 167),
    "PRE": (72, 160, 120),
    "INFER": (31, 99, 170),
    "POST": (100, 175, 220),
    "PUBLISH": (214, 120, 34),
    "OBJECTS": (200, 70, 80),
}
PANEL_HW = (420, 620)
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 94, 44
STRIP_PX = 4
TICKS = 5


def write_plot(report: Mapping[str, Any], path: Path) -> None:
    """Draw what the report holds and write it as PNG.

    Raises:
        InputError: the picture can't be written there.
    """
    picture_HWC = draw_report(report)
    is_written, encoded = cv2.imencode(".png", cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2BGR))
    if not is_written or path.suffix.lower() != ".png":
        raise InputError.from_parts(
            f"plot {str(path)!r} can't be written", "a file that ends in .png", "rename it"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise InputError.from_parts(
            f"plot {str(path)!r} can't be written: {error.strerror}",
            "a folder that may be written",
            "choose another path",
        ) from error


def draw_report(report: Mapping[str, Any]) -> np.ndarray:
    """Return uint8 RGB (H, W, 3)."""
    memory = report["custom"].get("memory")
    if memory is not None:
        return draw_curve("resident memory in MiB over frames", memory["curve"])
    sides = _list_sides(report)
    panels = [
        draw_bars("frames a second", sides, [RATE]),
        draw_bars("latency in ms: p50, lines to p95 and p99", sides, _list_latencies()),
    ]
    stages = {side: _list_stages(phases) for side, phases in sides.items()}
    if any(stages.values()):
        panels.append(draw_stacks("stages in ms, medians; below each stack its side", stages))
    return np.hstack(panels)


def _list_sides(report: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """Return figures by side and phase."""
    custom = report["custom"]
    sides = {custom["subject"]["name"]: _drop_ratios(split_phases(report))}
    for other in (custom[name] for name in OTHER_SIDES if name in custom):
        name = other["subject"]["name"]
        # A side may be measured against itself.
        name = f"{name} (2)" if name in sides else name
        sides[name] = _drop_ratios(split_phases(other))
    return sides


def _drop_ratios(phases: Mapping[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {phase: one for phase, one in phases.items() if not phase.endswith(RATIO)}


def _list_latencies() -> list[str]:
    return [f"{OURS}{name}_LATENCY" for name in ("P50", "P95", "P99")]


def _list_stages(phases: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return stage times by phase, in the order in which a frame meets them."""
    found = {
        phase: {
            name: figures[f"{STAGE}{name}"] for name in STAGES_RGB if f"{STAGE}{name}" in figures
        }
        for phase, figures in phases.items()
    }
    return {phase: stages for phase, stages in found.items() if stages}


def draw_bars(
    title: str, sides: Mapping[str, Mapping[str, Mapping[str, float]]], metrics: Sequence[str]
) -> np.ndarray:
    """Draw groups of bars by phase; further metrics are marks on a line above the bar."""
    phases = list(dict.fromkeys(phase for one in sides.values() for phase in one))
    shown = [
        one[phase][metric]
        for one in sides.values()
        for phase in one
        for metric in metrics
        if metric in one[phase]
    ]
    panel = Panel(title, max(shown, default=1.0))
    panel.write_legend([[(name, SIDES_RGB[i])] for i, name in enumerate(sides)])
    for group, phase in enumerate(phases):
        panel.write_below(group, len(phases), phase)
        for place, (_, one) in enumerate(sides.items()):
            values = [one[phase][metric] for metric in metrics if metric in one.get(phase, {})]
            if values:
                panel.draw_bar(group, len(phases), place, len(sides), values)
    return panel.paper_HWC


def draw_stacks(title: str, sides: Mapping[str, Mapping[str, Mapping[str, float]]]) -> np.ndarray:
    """Draw a stack of stages for each side in groups by phase, the side's colour below it."""
    phases = list(dict.fromkeys(phase for one in sides.values() for phase in one))
    stacks = [stages for one in sides.values() for stages in one.values()]
    panel = Panel(title, max(sum(stages.values()) for stages in stacks))
    used = [name for name in STAGES_RGB if any(name in stages for stages in stacks)]
    panel.write_legend([[(name.lower(), STAGES_RGB[name]) for name in used]])
    for group, phase in enumerate(phases):
        panel.write_below(group, len(phases), phase)
        for place, one in enumerate(sides.values()):
            if phase in one:
                span = panel.find_span(group, len(phases), place, len(sides))
                panel.draw_stack(span, one[phase], SIDES_RGB[place])
    return panel.paper_HWC


def draw_curve(title: str, points: Sequence[Sequence[float]]) -> np.ndarray:
    """Draw y over x as a line, from 0 on, so that growth looks as large as it is."""
    xs, ys = np.asarray(points, float).T
    panel = Panel(title, float(ys.max()))
    width = PANEL_HW[1] - LEFT - RIGHT
    columns = LEFT + width * (xs - xs[0]) / max(float(xs[-1] - xs[0]), 1.0)
    line = np.stack([columns, [panel.find_row(y) for y in ys]], 1).round().astype(np.int32)
    cv2.polylines(panel.paper_HWC, [line], False, SIDES_RGB[0], 2, cv2.LINE_AA)
    panel.write(f"{xs[0]:g}", (LEFT, PANEL_HW[0] - BOTTOM + 20))
    panel.write(f"{xs[-1]:g} frames", (PANEL_HW[1] - RIGHT - 100, PANEL_HW[0] - BOTTOM + 20))
    return panel.paper_HWC


class Panel:
    """White paper with a title, an axis from 0 to `highest` and places for groups of bars."""

    def __init__(self, title: str, highest: float) -> None:
        self.paper_HWC = np.full((*PANEL_HW, 3), PAPER_RGB, np.uint8)
        self._step = find_step(highest * 1.08)
        self._highest = self._step * math.ceil(highest * 1.08 / self._step) or self._step
        self.write(title, (LEFT, 20), 0.5)
        for number in range(round(self._highest / self._step) + 1):
            value = number * self._step
            row = self.find_row(value)
            cv2.line(self.paper_HWC, (LEFT, row), (PANEL_HW[1] - RIGHT, row), FAINT_RGB, 1)
            self.write(f"{value:g}", (10, row + 4))

    def find_row(self, value: float) -> int:
        """Return the row of a value."""
        height = PANEL_HW[0] - TOP - BOTTOM
        return round(PANEL_HW[0] - BOTTOM - height * value / self._highest)

    def find_span(self, group: int, groups: int, place: int, places: int) -> tuple[int, int]:
        """Return the columns of one bar in one group."""
        width = (PANEL_HW[1] - LEFT - RIGHT) / groups
        inner = 0.7 * width / places
        left = LEFT + group * width + 0.15 * width + place * inner
        return round(left + 0.05 * inner), round(left + 0.95 * inner)

    def draw_bar(
        self, group: int, groups: int, place: int, places: int, values: Sequence[float]
    ) -> None:
        """Draw a bar to the first value, and marks on a line up to the others."""
        left, right = self.find_span(group, groups, place, places)
        self.fill(left, right, 0.0, values[0], SIDES_RGB[place])
        middle = (left + right) // 2
        for value in values[1:]:
            row = self.find_row(value)
            cv2.line(self.paper_HWC, (middle, self.find_row(values[0])), (middle, row), INK_RGB, 1)
            cv2.line(self.paper_HWC, (middle - 5, row), (middle + 5, row), INK_RGB, 1)
        self.write_above(left, right, max(values), f"{values[0]:.3g}")

    def draw_stack(
        self, span: tuple[int, int], stages: Mapping[str, float], side_rgb: tuple[int, int, int]
    ) -> None:
        """Draw stages on top of each other, and a strip of the side's colour below them."""
        floor = 0.0
        for name, time_ms in stages.items():
            self.fill(*span, floor, floor + time_ms, STAGES_RGB[name])
            floor += time_ms
        self.write_above(*span, floor, f"{floor:.3g}")
        row = self.find_row(0.0)
        corners = (span[0], row + 2), (span[1], row + 2 + STRIP_PX)
        cv2.rectangle(self.paper_HWC, *corners, side_rgb, cv2.FILLED)

    def fill(
        self, left: int, right: int, low: float, high: float, ink_rgb: tuple[int, int, int]
    ) -> None:
        """Fill a bar between two values."""
        corners = (left, self.find_row(high)), (right, self.find_row(low))
        cv2.rectangle(self.paper_HWC, *corners, ink_rgb, cv2.FILLED)

    def write_above(self, left: int, right: int, value: float, text: str) -> None:
        """Write centred above a bar."""
        self._write_centred(text, (left + right) // 2, self.find_row(value) - 5)

    def write_below(self, group: int, groups: int, text: str) -> None:
        """Write centred below a group."""
        left, right = self.find_span(group, groups, 0, 1)
        self._write_centred(text, (left + right) // 2, PANEL_HW[0] - BOTTOM + 24)

    def write_legend(self, lines: Sequence[Sequence[tuple[str, tuple[int, int, int]]]]) -> None:
        """Write lines of names beside their colours, below the title."""
        for number, entries in enumerate(lines):
            column, row = LEFT, 40 + 18 * number
            room = (PANEL_HW[1] - LEFT - RIGHT) // len(entries) - 14
            for text, ink_rgb in entries:
                corners = (column, row - 9), (column + 9, row)
                cv2.rectangle(self.paper_HWC, *corners, ink_rgb, cv2.FILLED)
                scale = min(0.42, 0.42 * room / max(_measure(text, 0.42), 1))
                self.write(text, (column + 14, row), scale)
                column += 26 + _measure(text, scale)

    def write(self, text: str, place: tuple[int, int], scale: float = 0.42) -> None:
        """Write from this place on."""
        cv2.putText(self.paper_HWC, text, place, FONT, scale, INK_RGB, 1, cv2.LINE_AA)

    def _write_centred(self, text: str, column: int, row: int) -> None:
        self.write(text, (column - _measure(text, 0.42) // 2, row))


def find_step(highest: float) -> float:
    """Return a round step that divides the axis into about five."""
    rough = max(highest, 1e-9) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999) * power


def _measure(text: str, scale: float) -> int:
    return int(cv2.getTextSize(text, FONT, scale, 1)[0][0])
