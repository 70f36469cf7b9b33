"""Houses beside the street, and the town at its far end."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from proxia_segmentation_ros.data.synthetic.canvas import Canvas
from proxia_segmentation_ros.data.synthetic.facades import Facade, share_facade
from proxia_segmentation_ros.data.synthetic.furniture import find_nearest_m
from proxia_segmentation_ros.data.synthetic.textures import SURFACE_SHARE, make_noise
from proxia_segmentation_ros.data.synthetic.vehicles import scale
from proxia_segmentation_ros.data.synthetic.weather import Weather

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
    shows_side: bool

    @property
    def far_m(self) -> float:
        """Return the far end, by which things are sorted."""
        return self.along_m + self.width_m

    def draw(self, canvas: Canvas, weather: Weather) -> None:
        """Paint side wall, roof, chimney and front."""
        camera = canvas.camera
        facade = share_facade(self.facade)
        aside = self.lateral_m - camera.lateral_m
        start = max(
            self.along_m,
            camera.along_m + find_nearest_m(camera.size_hw, camera.focal_px, aside),
        )
        haze = min(max((self.along_m - camera.along_m - 20) / 500, 0.0), 0.3)
        if self.shows_side and self.along_m - camera.along_m > 1.0:
            self._draw_side(canvas, facade, weather, haze)
        if start >= self.far_m - 0.1:
            return
        if facade.is_pitched:
            self._draw_roof(canvas, facade, start)
        ends = [(start, self.height_m), (self.far_m, self.height_m), (self.far_m, -0.05), (start, -0.05)]
        uv_42 = camera.project(np.array([(self.lateral_m, z, s) for s, z in ends]))
        share = (start - self.along_m) / self.width_m
        part = (share, 1.0) if self.lateral_m < 0 else (1 - share, 0.0)
        gain = weather.measure_gain(self.lateral_m) * self.tint
        level = _pick_level(camera.focal_px, facade, abs(aside), (start, self.far_m), camera.along_m)
        canvas.paint_quad(uv_42, facade.front, level, BUILDING, part=part, gain=gain, haze=haze)

    def _draw_side(self, canvas: Canvas, facade: Facade, weather: Weather, haze: float) -> None:
        """Paint the wall that faces the camera, with its gable."""
        out = -1.0 if self.lateral_m < 0 else 1.0
        near, far = self.lateral_m, self.lateral_m + out * self.depth_m
        rise = 0.36 * self.depth_m if facade.is_pitched else 0.0
        left, right = min(near, far), max(near, far)
        top = self.height_m + rise
        square = [(left, top), (right, top), (right, 0.0), (left, 0.0)]
        camera = canvas.camera
        uv_42 = camera.project(np.array([(x, z, self.along_m) for x, z in square]))
        gable = [(left, 0.0), (left, self.height_m), ((left + right) / 2, top)]
        gable += [(right, self.height_m), (right, 0.0)]
        outline = camera.project(np.array([(x, z, self.along_m) for x, z in gable]))
        level = facade.wall.pick_level(camera.measure_scale(self.along_m) * self.depth_m / 8)
        gain = weather.facing_gain * self.tint * 0.85
        canvas.paint_quad(
            uv_42, facade.wall, level, BUILDING, gain=gain, haze=haze, outline_N2=outline
        )

    def _draw_roof(self, canvas: Canvas, facade: Facade, start: float) -> None:
        """Paint the slope above the front and the chimney on it."""
        out = -1.0 if self.lateral_m < 0 else 1.0
        ridge = self.lateral_m + out * self.depth_m / 2
        rise = self.height_m + 0.36 * self.depth_m
        slope = [(self.lateral_m - out * 0.25, self.height_m, start), (ridge, rise, start)]
        slope += [(ridge, rise, self.far_m), (self.lateral_m - out * 0.25, self.height_m, self.far_m)]
        camera = canvas.camera
        if self.chimney_m > 0:
            along = self.along_m + self.chimney_m
            if along > start:
                x = ridge - out * 0.8
                for width, top, shade in ((0.45, rise + 0.9, 0.8), (0.15, rise + 1.35, 1.2)):
                    box = [(x - width, top), (x + width, top), (x + width, rise - 2), (x - width, rise - 2)]
                    uv = camera.project(np.array([(a, z, along) for a, z in box]))
                    canvas.fill(uv, scale((104, 72, 58), shade), BUILDING)
        colour = scale(facade.roof_rgb, 0.95 * self.tint)
        canvas.fill(camera.project(np.array(slope)), colour, BUILDING)


def _pick_level(
    focal_px: float, facade: Facade, aside_m: float, span_m: tuple[float, float], eye_m: float
) -> int:
    """Return the level between what width and height on the screen ask for."""
    near, far = max(span_m[0] - eye_m, 0.6), span_m[1] - eye_m
    across = focal_px * aside_m / (near * far)
    height = focal_px * 2 / (near + far)
    return facade.front.pick_level(float(np.sqrt(across * height)))


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
        low = round(camera.horizon_px + camera.focal_px * camera.height_m / camera.far_m) + 1
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
        cv2.copyTo(self.image_HWC[source, left : left + width], mask, canvas.image_HWC[target])
        cv2.copyTo(labels, mask, canvas.labels_HW[target])


def make_backdrop(rng: np.random.Generator, size_hw: tuple[int, int], focal_px: float) -> Backdrop:
    """Return the town at the far end: tree tops and flat houses."""
    height, width = size_hw
    rows, columns = max(4, round(focal_px * 15 / 130)), width * 2
    noise = _share_skyline()
    start = int(rng.integers(2048))
    line = np.interp(
        np.arange(columns) * 480 / width,
        np.arange(2048) + 0.0,
        np.roll(noise, start),
        period=2048,
    )
    trees = (0.5 + 0.14 * line) * rows
    up = rows - np.arange(rows)[:, None]
    labels = np.where(up < trees[None], TREE, 0).astype(np.uint8)
    tone = 62 + 10 * np.resize(_share_grain(), (rows, columns))
    image = np.clip(tone, 20, 120)[..., None] * np.array((0.92, 1.0, 0.82)) * SURFACE_SHARE
    x = 0
    unit = max(1, round(width / 480))
    while x < columns:
        house = int(rng.integers(14, 46)) * unit
        if rng.random() < 0.55:
            top = rows - int(rows * rng.uniform(0.35, 0.85))
            image[top:, x : x + house] = np.array(rng.uniform(60, 130)) * (1.0, 0.95, 0.9)
            image[top + 2 :: 4, x + 2 : x + house - 1 : 3] *= 0.6
            labels[top:, x : x + house] = BUILDING
        x += house
    return Backdrop(np.clip(image, 0, 190).astype(np.uint8), labels)


@lru_cache(maxsize=1)
def _share_skyline() -> np.ndarray:
    return make_noise(np.random.default_rng(53), (1, 2048), 0.9)[0]


@lru_cache(maxsize=1)
def _share_grain() -> np.ndarray:
    return make_noise(np.random.default_rng(59), (128, 128), 0.5)
