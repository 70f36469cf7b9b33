"""Houses beside the street, and the town at its far end."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np

from proxia_segmentation_ros.synthetic.camera import Camera
from proxia_segmentation_ros.synthetic.drawing.canvas import Canvas
from proxia_segmentation_ros.synthetic.drawing.solids import measure_turn
from proxia_segmentation_ros.synthetic.drawing.textures import make_noise
from proxia_segmentation_ros.synthetic.stage import View
from proxia_segmentation_ros.synthetic.things.facades import Facade, share_facade
from proxia_segmentation_ros.synthetic.things.ground import find_far_row
from proxia_segmentation_ros.synthetic.things.strips import find_nearest_m, project_front
from proxia_segmentation_ros.synthetic.tone import scale

BUILDING, TREE = 1, 5


@dataclass(frozen=True)
class Building:
    """A house whose front stands along the street."""

    facade: int
    lateral_m: float
    along_m: float
    width_m: float
    height_m: float
    depth_m: float
    tint: float
    chimney_m: float
    side_from_m: float

    # A house is seen to the end of sight.
    coarsest_m = math.inf
    rim_m = 0.0

    @property
    def far_m(self) -> float:
        """Return the far end, by which things are sorted."""
        return self.along_m + self.width_m

    @cached_property
    def points_N3(self) -> np.ndarray:
        """Return front (4 points), square of the side (4), gable (5), roof (4), chimney (8)."""
        out = -1.0 if self.lateral_m < 0 else 1.0
        x, top, near, far = self.lateral_m, self.height_m, self.along_m, self.far_m
        rise = 0.36 * self.depth_m if share_facade(self.facade).is_pitched else 0.0
        front = [(x, top, near), (x, top, far), (x, 0.0, far), (x, 0.0, near)]
        left, right = sorted((x, x + out * self.depth_m))
        middle, high = (left + right) / 2, top + rise
        square = [(left, high, near), (right, high, near), (right, 0.0, near), (left, 0.0, near)]
        low = min(self.side_from_m, top)
        gable = [(left, low, near), (left, top, near), (middle, high, near)]
        gable += [(right, top, near), (right, low, near)]
        eaves = x - out * 0.25
        roof = [(eaves, top, near), (middle, high, near), (middle, high, far), (eaves, top, far)]
        chimney = []
        stack, along = middle - out * 0.8, near + self.chimney_m
        for half, up in ((0.45, high + 0.9), (0.15, high + 1.35)):
            chimney += [(stack - half, up, along), (stack + half, up, along)]
            chimney += [(stack + half, high - 2, along), (stack - half, high - 2, along)]
        return np.array(front + square + gable + roof + chimney)

    def draw(self, view: View) -> None:
        """Paint side wall, roof, chimney and front."""
        facade = share_facade(self.facade)
        near, far = view.placed_N3[0, 2], view.placed_N3[1, 2]
        haze = float(min(max((near - 20) / 500, 0.0), 0.3))
        if near > 1.0 and self.side_from_m < self.height_m + 0.3 * self.depth_m:
            self._draw_side(view, facade, haze)
        if facade.is_pitched:
            self._draw_roof(view, facade)
        nearest, share, uv_42 = find_nearest_m(view, self.lateral_m), 0.0, view.uv_N2[:4]
        if nearest >= far - 0.1:
            return
        if near < nearest:
            share = (nearest - near) / (far - near)
            uv_42 = project_front(view, self.lateral_m, (nearest, far), self.height_m)
            near = nearest
        gain = view.weather.measure_gain(self.lateral_m) * self.tint
        across_px = abs(float(uv_42[1, 0] - uv_42[0, 0]))
        if across_px < 4:
            view.fill(0, 4, scale(facade.front_rgb, gain), BUILDING)
            return
        part = (share, 1.0) if self.lateral_m < 0 else (1 - share, 0.0)
        across = across_px / (far - near)
        height = 2 * view.camera.focal_px / (near + far)
        level = facade.front.pick_level(float(np.sqrt(max(across, 0.3) * height)))
        view.canvas.paint_quad(
            uv_42, facade.front, level, BUILDING, part=part, gain=gain, haze=haze
        )

    def _draw_side(self, view: View, facade: Facade, haze: float) -> None:
        """Paint the wall that faces the camera, with its gable."""
        scale_px = view.camera.measure_scale(self.along_m)
        level = facade.wall.pick_level(scale_px * self.depth_m / 8)
        gain = view.weather.facing_gain * self.tint * 0.85
        if self.side_from_m > 0 or level >= len(facade.wall.levels) - 2:
            view.fill(8, 13, scale(facade.wall_rgb, gain), BUILDING)
            return
        view.canvas.paint_quad(
            view.uv_N2[4:8],
            facade.wall,
            level,
            BUILDING,
            gain=gain,
            haze=haze,
            outline_N2=view.uv_N2[8:13],
        )

    def _draw_roof(self, view: View, facade: Facade) -> None:
        """Paint the slope above the front, if it is seen at all, and the chimney on it."""
        if self.chimney_m > 0:
            view.fill(17, 21, scale((104, 72, 58), 0.8), BUILDING)
            view.fill(21, 25, scale((120, 84, 66), 1.1), BUILDING)
        if not view.is_near and (measure_turn(view.uv_N2[13:17]) > 0) != (self.lateral_m < 0):
            return
        view.fill(13, 17, scale(facade.roof_rgb, 0.95 * self.tint), BUILDING)


@dataclass(frozen=True)
class Backdrop:
    """Trees and houses far behind everything else; the strip is twice as wide as the picture."""

    image_HWC: np.ndarray
    labels_HW: np.ndarray

    def draw(self, canvas: Canvas) -> None:
        """Paint the strip with its foot on the far end of the ground."""
        camera = canvas.camera
        height, width = camera.size_hw
        rows = self.image_HWC.shape[0]
        low = find_far_row(camera) + 1
        shift = camera.measure_shift(
            np.array([camera.along_m + camera.far_m]), np.array([camera.far_m])
        )[0]
        middle = camera.centre_px + camera.focal_px * shift / camera.far_m * 0.6
        left = round(self.image_HWC.shape[1] / 2 - middle)
        left = min(max(left, 0), self.image_HWC.shape[1] - width)
        top = low - rows
        first = max(-top, 0)
        if low <= 0 or top >= height:
            return
        target = slice(max(top, 0), min(low, height))
        source = slice(first, first + target.stop - target.start)
        labels = self.labels_HW[source, left : left + width]
        mask = (labels > 0).astype(np.uint8)
        piece = cv2.LUT(
            self.image_HWC[source, left : left + width], canvas.tone.share_table(1, 0.1)
        )
        cv2.copyTo(piece, mask, canvas.image_HWC[target])
        cv2.copyTo(labels, mask, canvas.labels_HW[target])


def make_backdrop(rng: np.random.Generator, size_hw: tuple[int, int], focal_px: float) -> Backdrop:
    """Return the town at the far end: tree tops and flat houses."""
    width = size_hw[1]
    rows, columns = max(4, round(focal_px * 14 / Camera.far_m)), width * 2
    noise = _share_skyline()
    start = int(rng.integers(2048))
    line = np.interp(
        np.arange(columns) * 480 / width,
        np.arange(2048) + 0.0,
        np.roll(noise, start),
        period=2048,
    )
    trees = (0.42 + 0.2 * line) * rows
    up = rows - np.arange(rows)[:, None]
    labels = np.where(up < trees[None], TREE, 0).astype(np.uint8)
    tone = 62 + 10 * np.resize(_share_grain(), (rows, columns))
    image: np.ndarray = np.clip(tone, 20, 120)[..., None] * np.array((0.92, 1.0, 0.82))
    x = 0
    unit = max(1, round(width / 480))
    while x < columns:
        house = int(rng.integers(14, 46)) * unit
        if rng.random() < 0.7:
            top = rows - int(rows * rng.uniform(0.35, 0.85))
            image[top:, x : x + house] = np.array(rng.uniform(60, 130)) * (1.0, 0.95, 0.9)
            image[top + 2 :: 4, x + 2 : x + house - 1 : 3] *= 0.6
            labels[top:, x : x + house] = BUILDING
        x += house
    return Backdrop(np.clip(image, 0, 190).astype(np.uint8), labels)


@lru_cache(maxsize=1)
def _share_skyline() -> np.ndarray:
    line: np.ndarray = make_noise(np.random.default_rng(53), (1, 2048), 0.9)[0]
    return line


@lru_cache(maxsize=1)
def _share_grain() -> np.ndarray:
    return make_noise(np.random.default_rng(59), (128, 128), 0.5)
