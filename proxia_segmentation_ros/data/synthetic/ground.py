"""The ground: road, pavements, verges, markings and the shadows on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from proxia_segmentation_ros.data.synthetic.camera import Camera
from proxia_segmentation_ros.data.synthetic.canvas import Canvas, Colour, fix_points
from proxia_segmentation_ros.data.synthetic.textures import share_ground_tiles
from proxia_segmentation_ros.data.synthetic.weather import Weather

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


@dataclass(frozen=True)
class Shadow:
    """A shadow on the ground as a polygon of (lateral, along) points."""

    points_N2: tuple[tuple[float, float], ...]


def paint_ground(
    canvas: Canvas,
    weather: Weather,
    base: tuple[Colour, int],
    patches: Sequence[Patch],
    shadows: Sequence[Shadow],
    slabs: bool,
) -> None:
    """Paint everything below the horizon."""
    camera = canvas.camera
    height = camera.size_hw[0]
    first = max(round(camera.horizon_px + camera.focal_px * camera.height_m / camera.far_m), 0)
    if first >= height:
        return
    canvas.image_HWC[first:] = np.array(base[0], np.float32).astype(np.uint8)
    canvas.labels_HW[first:] = base[1]
    for patch in patches:
        _fill_patch(canvas, patch)
    light = make_grain(camera, canvas.labels_HW, first, slabs)
    if weather.shadow < 0.9 and shadows:
        _darken(camera, light, first, shadows, weather.shadow)
    window = canvas.image_HWC[first:]
    cv2.multiply(window, cv2.cvtColor(light, cv2.COLOR_GRAY2RGB), dst=window, scale=1 / 128)


def measure_nearest(camera: Camera) -> float:
    """Return the distance of the ground at the lower edge of the picture."""
    below = max(camera.size_hw[0] - camera.horizon_px, 4.0)
    return max(0.8 * camera.focal_px * camera.height_m / below, camera.near_m)


def _fill_patch(canvas: Canvas, patch: Patch) -> None:
    """Paint one patch, in steps where the street may bend."""
    camera = canvas.camera
    start = max(patch.start_m, camera.along_m + measure_nearest(camera))
    end = min(patch.end_m, camera.along_m + camera.far_m)
    if end - start < 0.01:
        return
    near, far = start - camera.along_m, end - camera.along_m
    steps = 2 if far - near < 5 else min(3 + int((far - near) / 8), 14)
    along = camera.along_m + np.geomspace(near, far, steps)
    points_N3 = np.zeros((2 * steps, 3))
    skew = patch.skew_m * (along - patch.start_m) / max(patch.end_m - patch.start_m, 1e-6)
    points_N3[:steps, 0] = patch.left_m + skew
    points_N3[steps:, 0] = patch.right_m + skew[::-1]
    points_N3[:steps, 2] = along
    points_N3[steps:, 2] = along[::-1]
    uv_N2 = camera.project(points_N3)
    if patch.label is None and np.ptp(uv_N2[:, 1]) < 0.35:
        return
    canvas.fill(uv_N2, patch.rgb, patch.label)


def make_grain(camera: Camera, labels_HW: np.ndarray, first: int, slabs: bool) -> np.ndarray:
    """Return the grain of the ground from row `first` on, 128 = unchanged."""
    height, width = labels_HW.shape
    rows = np.arange(first, height) + 0.5
    ahead = (camera.focal_px * camera.height_m / np.maximum(rows - camera.horizon_px, 0.5)).astype(
        np.float32
    )
    along = camera.along_m + ahead
    shift = camera.measure_shift(along.astype(float), ahead.astype(float)).astype(np.float32)
    across = (np.arange(width, dtype=np.float32) + 0.5 - camera.centre_px) / camera.focal_px
    grain = np.empty((height - first, width), np.uint8)
    step_m = ahead * ahead / (camera.focal_px * camera.height_m)
    levels = np.clip(np.log2(np.maximum(step_m * _TILE_PX_PER_M, 1e-3)) * 0.8, 0, 5).astype(int)
    edges = np.flatnonzero(np.diff(levels)) + 1
    kinds = [("asphalt", None)]
    kinds += [("slabs", PAVEMENT)] if slabs else []
    kinds += [("grass", VERGE)]
    for start, stop in zip([0, *edges], [*edges, len(rows)], strict=True):
        band = slice(int(start), int(stop))
        level = int(levels[start])
        scale = np.float32(_TILE_PX_PER_M / 2**level)
        side = 1024 >> level
        x = (across[None] * ahead[band, None] - shift[band, None]) * scale + np.float32(side / 2)
        y = np.mod(along[band, None], 32.0).astype(np.float32) * scale
        y = np.broadcast_to(y, x.shape)
        for kind, label in kinds:
            here = None if label is None else labels_HW[first:][band] == label
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


def _darken(
    camera: Camera, light: np.ndarray, first: int, shadows: Sequence[Shadow], shadow: float
) -> None:
    """Multiply the light by the shadow where a shadow lies."""
    shade = np.full(light.shape, 255, np.uint8)
    nearest = camera.along_m + measure_nearest(camera)
    for cast in shadows:
        points = np.array([(x, 0.0, s) for x, s in cast.points_N2])
        if points[:, 2].max() <= nearest:
            continue
        uv_N2 = camera.project_clipped(points)
        if len(uv_N2) >= 3:
            fixed = fix_points(uv_N2 - (0, first))
            cv2.fillPoly(shade, [fixed], (255 * shadow,), cv2.LINE_AA, 4)
    shade = cv2.blur(shade, (3, 3))
    cv2.multiply(light, shade, dst=light, scale=1 / 255)
