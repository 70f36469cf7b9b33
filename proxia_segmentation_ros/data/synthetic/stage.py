"""Brings things on the canvas: one projection for all, then painting from far to near."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from proxia_segmentation_ros.data.synthetic.camera import Camera, clip_polygon
from proxia_segmentation_ros.data.synthetic.canvas import Canvas, fix_points
from proxia_segmentation_ros.data.synthetic.tone import Colour
from proxia_segmentation_ros.data.synthetic.weather import Weather

VIEW_M = 95.0


@dataclass(frozen=True)
class View:
    """The points of one thing as the camera sees them.

    `placed_N3` is in metres from the eye, `uv_N2` in pixels (right only ahead of the near plane),
    `fixed_N2` the same for `Canvas.fill_fixed`.
    """

    canvas: Canvas
    weather: Weather
    placed_N3: np.ndarray
    uv_N2: np.ndarray
    fixed_N2: np.ndarray
    is_near: bool

    @property
    def camera(self) -> Camera:
        """Return the camera."""
        return self.canvas.camera

    def fill(self, first: int, last: int, colour: Colour, label: int | None) -> None:
        """Fill the polygon of points `first` to `last`, cut off at the near plane."""
        if self.is_near:
            placed_N3 = self.placed_N3[first:last]
            near_m = self.camera.near_m
            if placed_N3[:, 2].min() < near_m:
                clipped = clip_polygon(placed_N3, near_m)
                self.canvas.fill(self.camera.project_placed(clipped), colour, label)
                return
        self.canvas.fill_fixed(self.fixed_N2[first:last], colour, label)


class Thing(Protocol):
    """Something that stands on the street and can be painted."""

    @property
    def along_m(self) -> float:
        """Return where it begins."""

    @property
    def far_m(self) -> float:
        """Return where it ends; things are painted in falling order of it."""

    @property
    def reach_m(self) -> float:
        """Return how far ahead of the camera it is still worth painting."""

    @property
    def points_N3(self) -> np.ndarray:
        """Return its points (lateral, up, along)."""

    def draw(self, view: View) -> None:
        """Paint it."""


def draw_things(canvas: Canvas, weather: Weather, things: Sequence[Thing]) -> None:
    """Paint all things that the camera sees, far ones first."""
    camera = canvas.camera
    start = camera.along_m + camera.near_m
    shown = [
        thing
        for thing in things
        if thing.far_m > start and thing.along_m - camera.along_m < thing.reach_m
    ]
    if not shown:
        return
    shown.sort(key=lambda thing: -thing.far_m)
    points = [thing.points_N3 for thing in shown]
    ends = np.cumsum([len(p) for p in points])
    starts = np.concatenate(([0], ends[:-1]))
    placed_N3 = camera.place(np.concatenate(points))
    uv_N2 = camera.project_placed(placed_N3)
    fixed_N2 = fix_points(uv_N2)
    margin = 0.5 * camera.size_hw[1]
    is_inside = np.maximum.reduceat(uv_N2[:, 0], starts) > -margin
    is_inside &= np.minimum.reduceat(uv_N2[:, 0], starts) < camera.size_hw[1] + margin
    is_near = np.minimum.reduceat(placed_N3[:, 2], starts) < camera.near_m
    rows = zip(shown, starts.tolist(), ends.tolist(), is_inside.tolist(), is_near.tolist(),
               strict=True)  # fmt: skip
    for thing, first, last, inside, near in rows:
        if inside or near:
            part = slice(first, last)
            view = View(canvas, weather, placed_N3[part], uv_N2[part], fixed_N2[part], near)
            thing.draw(view)
