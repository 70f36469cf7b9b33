"""Flat jointed figures that stand upright and face the camera."""

import math

import numpy as np

from proxia_segmentation_ros.synthetic.stage import View

RGB = tuple[float, float, float]
Point = tuple[float, float]
_DETAIL_PX_PER_M = 18.0
_CIRCLE = [(math.cos(k * math.pi / 5), math.sin(k * math.pi / 5)) for k in range(10)]


class Figure:
    """Collects coloured polygons of (right, up) metres about a foot point."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._parts: list[tuple[int, int, RGB, float, bool]] = []

    def add(
        self, points: list[Point], rgb: RGB, lit: float = 1.0, *, is_detail: bool = False
    ) -> None:
        """Add a polygon; `lit` changes its brightness, a detail lies within other parts."""
        first = len(self._points)
        self._points += points
        self._parts.append((first, len(self._points), rgb, lit, is_detail))

    def limb(
        self, start: Point, end: Point, widths: tuple[float, float], rgb: RGB, lit: float = 1.0
    ) -> None:
        """Add a tapering limb between two joints."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        norm = 2 * max(math.hypot(dx, dy), 1e-6)
        nx, ny = -dy / norm, dx / norm
        w0, w1 = widths
        self.add(
            [
                (start[0] + nx * w0, start[1] + ny * w0), (end[0] + nx * w1, end[1] + ny * w1),
                (end[0] - nx * w1, end[1] - ny * w1), (start[0] - nx * w0, start[1] - ny * w0),
            ],
            rgb,
            lit,
        )  # fmt: skip

    def disc(
        self, centre: Point, radii: tuple[float, float], rgb: RGB, *, is_detail: bool = False
    ) -> None:
        """Add an ellipse."""
        (x, y), (rx, ry) = centre, radii
        self.add([(x + rx * a, y + ry * b) for a, b in _CIRCLE], rgb, is_detail=is_detail)

    def place(self, lateral_m: float, along_m: float) -> np.ndarray:
        """Return the points with the foot point on the street."""
        points_N3 = np.full((len(self._points), 3), along_m)
        points_N3[:, :2] = self._points
        points_N3[:, 0] += lateral_m
        return points_N3

    def paint(self, view: View, gain: float, label: int, px_per_m: float) -> None:
        """Paint all parts in the order in which they were added; from afar without details."""
        is_far = px_per_m < _DETAIL_PX_PER_M
        for first, last, (red, green, blue), lit, is_detail in self._parts:
            if is_detail and is_far:
                continue
            share = gain * lit
            shown = None if is_detail else label
            view.fill(first, last, (red * share, green * share, blue * share), shown)
