"""The ground: road, pavements, verges, markings and the shadows on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from proxia_segmentation_ros.synthetic.camera import Camera
from proxia_segmentation_ros.synthetic.drawing.canvas import Canvas, fix_points
from proxia_segmentation_ros.synthetic.drawing.textures import share_ground_tiles
from proxia_segmentation_ros.synthetic.stage import View
from proxia_segmentation_ros.synthetic.tone import PLAIN, Colour
from proxia_segmentation_ros.synthetic.weather import Weather

ROAD, PAVEMENT, VERGE = 3, 4, 5
_TILE_PX_PER_M = 32.0


@dataclass(frozen=True)
class Patch:
    """A piece of ground between two lateral positions; no label: a marking on what is there."""

    left_m: float
    right_m: float
    start_m: float
    end_m: float
    rgb: Colour
    label: int | None = None
    skew_m: float = 0.0

    @cached_property
    def points_N3(self) -> np.ndarray:
        """Return the outline, with points every few metres where the street may bend."""
        length = self.end_m - self.start_m
        steps = 2 if length < 6 else 2 + int(length / 6)
        share = np.linspace(0, 1, steps)
        points_N3 = np.zeros((2 * steps, 3))
        points_N3[:steps, 0] = self.left_m + self.skew_m * share
        points_N3[steps:, 0] = self.right_m + self.skew_m * share[::-1]
        points_N3[:steps, 2] = self.start_m + length * share
        points_N3[steps:, 2] = points_N3[:steps, 2][::-1]
        return points_N3


@dataclass(frozen=True)
class Shadow:
    """A shadow on the ground as a polygon of (lateral, along) points."""

    points_N2: tuple[tuple[float, float], ...]

    @cached_property
    def points_N3(self) -> np.ndarray:
        """Return the points on the ground."""
        return np.array([(x, 0.0, s) for x, s in self.points_N2])


def paint_ground(
    canvas: Canvas,
    weather: Weather,
    base: tuple[Colour, int],
    patches: Sequence[Patch],
    shadows: Sequence[Shadow],
) -> None:
    """Paint everything below the horizon."""
    first = find_far_row(canvas.camera)
    height, width = canvas.camera.size_hw
    if first >= height:
        return
    camera = replace(
        canvas.camera,
        size_hw=(height - first, width),
        horizon_px=canvas.camera.horizon_px - first,
    )
    lower = Canvas(camera, PLAIN, canvas.image_HWC[first:], canvas.labels_HW[first:])
    lower.image_HWC[:] = np.array(base[0], np.float32).astype(np.uint8)
    lower.labels_HW[:] = base[1]
    _fill_patches(lower, weather, patches)
    light = make_grain(camera, lower.labels_HW)
    if weather.shadow < 0.9 and shadows:
        _darken(camera, light, shadows, weather.shadow)
    lit = cv2.multiply(lower.image_HWC, cv2.cvtColor(light, cv2.COLOR_GRAY2RGB), scale=1 / 128)
    lower.image_HWC[:] = cv2.LUT(lit, canvas.tone.share_table(1, 0))


def find_far_row(camera: Camera) -> int:
    """Return the first row of the ground."""
    far_px = camera.focal_px * camera.height_m / camera.far_m
    return max(round(camera.horizon_px + far_px), 0)


def _fill_patches(canvas: Canvas, weather: Weather, patches: Sequence[Patch]) -> None:
    """Paint the patches in their order, from one projection of all their points."""
    camera = canvas.camera
    points = [patch.points_N3 for patch in patches]
    ends = np.cumsum([len(p) for p in points])
    starts = np.concatenate(([0], ends[:-1]))
    placed_N3 = camera.place(np.concatenate(points))
    uv_N2 = camera.project_placed(placed_N3)
    fixed_N2 = fix_points(uv_N2)
    ahead, v = placed_N3[:, 2], uv_N2[:, 1]
    nearest, farthest = np.minimum.reduceat(ahead, starts), np.maximum.reduceat(ahead, starts)
    tall = np.maximum.reduceat(v, starts) - np.minimum.reduceat(v, starts)
    is_thin = np.array([patch.label is None for patch in patches]) & (tall < 0.5)
    is_shown = (farthest > 1.2) & (nearest < camera.far_m) & ~is_thin
    for number in np.flatnonzero(is_shown).tolist():
        rows = slice(starts[number], ends[number])
        is_near = bool(nearest[number] < camera.near_m)
        view = View(canvas, weather, placed_N3[rows], uv_N2[rows], fixed_N2[rows], is_near)
        patch = patches[number]
        view.fill(0, rows.stop - rows.start, patch.rgb, patch.label)


def make_grain(camera: Camera, labels_HW: np.ndarray) -> np.ndarray:
    """Return the grain of the ground, 128 = unchanged."""
    height, width = labels_HW.shape
    below = np.maximum(np.arange(height) + 0.5 - camera.horizon_px, 0.5)
    ahead = (camera.focal_px * camera.height_m / below).astype(np.float32)
    along = camera.along_m + ahead
    shift = camera.measure_shift(along.astype(float), ahead.astype(float)).astype(np.float32)
    across = (np.arange(width, dtype=np.float32) + 0.5 - camera.centre_px) / camera.focal_px
    grain = np.empty((height, width), np.uint8)
    step_m = ahead * ahead / (camera.focal_px * camera.height_m)
    levels = np.clip(np.log2(np.maximum(step_m * _TILE_PX_PER_M, 1e-3)) * 0.8, 0, 5).astype(int)
    edges = np.flatnonzero(np.diff(levels)) + 1
    kinds = (("asphalt", None), ("slabs", PAVEMENT), ("grass", VERGE))
    for start, stop in zip([0, *edges], [*edges, height], strict=True):
        band = slice(int(start), int(stop))
        level = int(levels[start])
        scale = np.float32(_TILE_PX_PER_M / 2**level)
        side = 1024 >> level
        x = (across[None] * ahead[band, None] - shift[band, None]) * scale + np.float32(side / 2)
        y = np.mod(along[band, None], 32.0).astype(np.float32) * scale
        y = np.broadcast_to(y, x.shape)
        for kind, label in kinds:
            here = None if label is None else labels_HW[band] == label
            if here is not None and not here.any():
                continue
            tile = share_ground_tiles(kind)[level]
            piece = cv2.remap(tile, x, np.ascontiguousarray(y), cv2.INTER_LINEAR,
                              borderMode=cv2.BORDER_WRAP)  # fmt: skip
            if here is None:
                grain[band] = piece
            else:
                cv2.copyTo(piece, here.astype(np.uint8), grain[band])
    return grain


def _darken(camera: Camera, light: np.ndarray, shadows: Sequence[Shadow], shadow: float) -> None:
    """Multiply the light by the shadow where a shadow lies."""
    shade = np.full(light.shape, 255, np.uint8)
    for cast in shadows:
        uv_N2 = camera.project_clipped(cast.points_N3)
        if len(uv_N2) >= 3:
            cv2.fillPoly(shade, [fix_points(uv_N2)], (255 * shadow,), cv2.LINE_8, 4)
    cv2.multiply(light, cv2.blur(shade, (3, 3)), dst=light, scale=1 / 255)
