"""Draw things on the canvas: project all points at once, then paint from far to near."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from proxia_segmentation_ros.synthetic.camera import Camera, clip_polygon
from proxia_segmentation_ros.synthetic.drawing.canvas import Canvas, fix_points
from proxia_segmentation_ros.synthetic.tone import Colour
from proxia_segmentation_ros.synthetic.weather import Weather

VIEW_M = 95.0
# A thing fades in over the last metres before the distance at which it becomes visible.
FADE_M = 2.5
_LABELLED_SHARE = 0.5
# Antialiased edges and rounding reach a little beyond the computed bounds.
_EDGE_PX = 8


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
    def coarsest_m(self) -> float:
        """Return how many metres a pixel of a picture 480 wide may be for it to be painted.

        What tells it apart, a post's width or a fence's height, is then just wide enough.
        """

    @property
    def points_N3(self) -> np.ndarray:
        """Return its points (lateral, up, along)."""

    @property
    def rim_m(self) -> float:
        """Return how far to the left and right of its points it is painted."""

    def draw(self, view: View) -> None:
        """Paint it."""


def measure_reach(camera: Camera, thing: Thing) -> float:
    """Return how far ahead the camera sees a thing, in metres.

    The rule for image and labels alike: what would be too narrow to make out, in a picture
    480 px wide, is not there. Larger pictures scale the limit, so they show the same things.
    """
    unit = camera.size_hw[1] / 480
    return min(VIEW_M, camera.focal_px * thing.coarsest_m / unit)


def draw_things(canvas: Canvas, weather: Weather, things: Sequence[Thing]) -> None:
    """Paint all things that the camera sees, far ones first."""
    camera = canvas.camera
    start = camera.along_m + camera.near_m
    shown: list[tuple[Thing, float]] = []
    for thing in things:
        to_go = measure_reach(camera, thing) - (thing.along_m - camera.along_m)
        if thing.far_m > start and to_go > 0:
            shown.append((thing, min(to_go / FADE_M, 1.0)))
    if not shown:
        return
    shown.sort(key=lambda row: -row[0].far_m)
    points = [thing.points_N3 for thing, _ in shown]
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
    for (thing, share), first, last, inside, near in rows:
        if inside or near:
            part = slice(first, last)
            view = View(canvas, weather, placed_N3[part], uv_N2[part], fixed_N2[part], near)
            draw_faded(thing, view, share)


def draw_faded(thing: Thing, view: View, share: float) -> None:
    """Paint a thing with an opacity; its label appears when it is more opaque than not."""
    if share >= 1:
        thing.draw(view)
        return
    canvas = view.canvas
    height, width = canvas.labels_HW.shape
    nearest_m = max(float(view.placed_N3[:, 2].min()), 1.0)
    rim_px = thing.rim_m * view.camera.focal_px / nearest_m + _EDGE_PX
    low_uv, high_uv = view.uv_N2.min(axis=0) - rim_px, view.uv_N2.max(axis=0) + rim_px
    columns = slice(max(int(low_uv[0]), 0), max(min(int(high_uv[0]), width), 0))
    rows = slice(0, max(min(int(high_uv[1]), height), 0))
    behind_HWC = canvas.image_HWC[rows, columns].copy()
    labels_HW = canvas.labels_HW[rows, columns].copy()
    thing.draw(view)
    if behind_HWC.size:
        seen_HWC = canvas.image_HWC[rows, columns]
        seen_HWC[:] = cv2.addWeighted(seen_HWC, share, behind_HWC, 1 - share, 0)
        if share < _LABELLED_SHARE:
            canvas.labels_HW[rows, columns] = labels_HW
