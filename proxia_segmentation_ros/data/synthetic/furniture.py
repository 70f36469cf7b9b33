"""Poles, lamps, signs, traffic lights and fences."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from proxia_segmentation_ros.data.synthetic.canvas import Canvas, Colour
from proxia_segmentation_ros.data.synthetic.textures import Texture, build_texture, cut_noise
from proxia_segmentation_ros.data.synthetic.vehicles import scale
from proxia_segmentation_ros.data.synthetic.weather import Weather, encode_light

POLE, SIGN, FENCE = 2, 6, 7
RGB = tuple[float, float, float]
_SIGN_KINDS = ("round", "triangle", "board", "blue round", "plate", "diamond", "light")


@dataclass(frozen=True)
class Pole:
    """A post; with an arm it is a street lamp."""

    lateral_m: float
    along_m: float
    height_m: float
    width_m: float
    rgb: RGB
    arm_m: float = 0.0

    @property
    def far_m(self) -> float:
        """Return the distance by which things are sorted."""
        return self.along_m

    def draw(self, canvas: Canvas, weather: Weather) -> None:
        """Paint the post and its lamp."""
        px_per_m = canvas.camera.measure_scale(self.along_m)
        least_px = 2.0 * max(canvas.camera.size_hw[0] / 360, 0.6)
        if self.along_m - canvas.camera.along_m > 60 or self.width_m * px_per_m < least_px * 0.4:
            return
        half = max(self.width_m, least_px / px_per_m) / 2
        colour = scale(self.rgb, weather.measure_gain(self.lateral_m) * 0.9)
        dark: Colour = (colour[0] * 0.6, colour[1] * 0.6, colour[2] * 0.6)
        middle = self.lateral_m
        self._fill_box(canvas, (middle - half, middle + half), (0, self.height_m), colour, POLE)
        shady = (middle - half, middle) if weather.sun_side > 0 else (middle, middle + half)
        self._fill_box(canvas, shady, (0, self.height_m), dark, None)
        if self.width_m * px_per_m > 4:
            foot = (middle - half * 1.4, middle + half * 1.4)
            self._fill_box(canvas, foot, (0, 0.9 if self.arm_m else 0.1), dark, POLE)
        if self.arm_m:
            top = (self.height_m - half * 1.2, self.height_m + half * 0.6)
            ends = (min(0.0, self.arm_m) + middle, max(0.0, self.arm_m) + middle)
            self._fill_box(canvas, ends, top, dark, POLE)
            lamp = encode_light((1.0, 0.85, 0.5)) if weather.lamps_on else dark
            side = 1 if self.arm_m > 0 else -1
            x = sorted((middle + self.arm_m, middle + self.arm_m + side * 0.7))
            self._fill_box(canvas, (x[0], x[1]), (self.height_m - 0.16, self.height_m + 0.1),
                           lamp, POLE)  # fmt: skip

    def _fill_box(
        self,
        canvas: Canvas,
        across: tuple[float, float],
        up: tuple[float, float],
        colour: Colour,
        label: int | None,
    ) -> None:
        canvas.fill(_project_board(canvas, across, up, self.along_m), colour, label)


def _project_board(
    canvas: Canvas, across: tuple[float, float], up: tuple[float, float], along_m: float
) -> np.ndarray:
    """Return the pixels of an upright rectangle that faces the camera."""
    points = [(across[0], up[1]), (across[1], up[1]), (across[1], up[0]), (across[0], up[0])]
    return canvas.camera.project(np.array([(x, z, along_m) for x, z in points]))


@lru_cache(maxsize=64)
def share_board(kind: str, index: int) -> Texture:
    """Return the face of a sign, 64 px wide and high, with alpha."""
    rng = np.random.default_rng((43, index, len(kind)))
    face = np.zeros((64, 64, 4), np.float32)
    opaque = 255.0
    if kind == "round":
        cv2.circle(face, (32, 32), 31, (190, 24, 28, opaque), -1)
        cv2.circle(face, (32, 32), 23, (232, 232, 228, opaque), -1)
        if index % 2:
            cv2.rectangle(face, (17, 23), (28, 42), (20, 20, 22, opaque), 4)
            cv2.rectangle(face, (36, 23), (47, 42), (20, 20, 22, opaque), 4)
        else:
            cv2.rectangle(face, (14, 28), (50, 37), (190, 24, 28, opaque), -1)
    elif kind == "blue round":
        cv2.circle(face, (32, 32), 31, (224, 226, 230, opaque), -1)
        cv2.circle(face, (32, 32), 29, (24, 66, 150, opaque), -1)
        cv2.arrowedLine(face, (44, 18), (18, 46), (235, 235, 235, opaque), 6, tipLength=0.5)
    elif kind in ("triangle", "diamond"):
        outer = [[32, 2], [63, 60], [1, 60]] if kind == "triangle" else [[32, 1], [63, 32], [32, 63], [1, 32]]
        cv2.fillPoly(face, [np.array(outer, np.int32)], (194, 26, 30, opaque))
        inner = ((np.array(outer) - (32, 36)) * 0.62 + (32, 38)).astype(np.int32)
        cv2.fillPoly(face, [inner], (230, 230, 226, opaque))
        cv2.line(face, (32, 30), (32, 50), (24, 24, 24, opaque), 5)
    else:
        colours = ((24, 70, 150), (20, 92, 60), (226, 224, 216), (220, 190, 40), (40, 40, 46), (150, 30, 40))
        colour = colours[int(rng.integers(len(colours)))]
        face[:] = (*colour, opaque)
        ink = (235, 235, 230, opaque) if sum(colour) < 400 else (30, 30, 34, opaque)
        cv2.rectangle(face, (2, 2), (61, 61), ink, 2)
        for row in range(12, 58, 14):
            cv2.line(face, (8, row), (int(rng.integers(30, 56)), row), ink, 5)
    face[..., :3] *= (1 + 0.05 * cut_noise(rng, (64, 64), 1.0))[..., None]
    face[..., :3] *= face[..., 3:] / 255
    return build_texture(face, 64.0)


@dataclass(frozen=True)
class Sign:
    """A sign, or the head of a traffic light, that faces the camera; `up_m` is its lower edge."""

    kind: str
    index: int
    lateral_m: float
    along_m: float
    up_m: float
    size_m: tuple[float, float]

    @property
    def far_m(self) -> float:
        """Return the distance by which things are sorted; just before the pole behind it."""
        return self.along_m - 0.05

    def draw(self, canvas: Canvas, weather: Weather) -> None:
        """Paint the face."""
        px_per_m = canvas.camera.measure_scale(self.along_m)
        if px_per_m * self.size_m[0] < 3 or self.along_m - canvas.camera.along_m < 1.0:
            return
        half = self.size_m[0] / 2
        across = (self.lateral_m - half, self.lateral_m + half)
        uv_42 = _project_board(canvas, across, (self.up_m, self.up_m + self.size_m[1]), self.far_m)
        if self.kind == "light":
            self._draw_light(canvas, uv_42)
            return
        texture = share_board(self.kind, self.index % 8)
        level = texture.pick_level(px_per_m * self.size_m[0])
        gain = 0.5 * (weather.facing_gain + weather.measure_gain(self.lateral_m))
        outline = uv_42
        if self.kind not in ("board", "plate"):
            outline = _cut_outline(uv_42, self.kind)
        canvas.paint_quad(uv_42, texture, level, SIGN, gain=gain, outline_N2=outline)

    def _draw_light(self, canvas: Canvas, uv_42: np.ndarray) -> None:
        """Paint a traffic light with one lit lamp."""
        canvas.fill(uv_42, (22, 22, 23), SIGN)
        left, top = uv_42[0]
        width, height = uv_42[2] - uv_42[0]
        lit = (0, 2, 2)[self.index % 3]
        colours = ((1.0, 0.35, 0.3), (1.0, 0.8, 0.3), (0.35, 1.0, 0.8))
        turns = np.linspace(0, 2 * np.pi, 11)[:-1]
        for lamp in range(3):
            centre = np.array((left + width / 2, top + height * (lamp + 0.5) / 3))
            ring = centre + width * 0.33 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
            colour = (36.0, 36.0, 36.0)
            if lamp == lit:
                colour = encode_light(colours[lamp])
                colour = (colour[0] if lamp == 0 else 60.0, colour[1] if lamp else 40.0, 90.0)
            canvas.fill(ring, colour, None)


def _cut_outline(uv_42: np.ndarray, kind: str) -> np.ndarray:
    """Return the outline of a sign's shape within its square."""
    (left, top), (right, low) = uv_42[0], uv_42[2]
    middle, height = (left + right) / 2, low - top
    if kind == "triangle":
        return np.array([[middle, top + 0.03 * height], [right, low - 0.05 * height],
                         [left, low - 0.05 * height]])  # fmt: skip
    if kind == "diamond":
        centre = (top + low) / 2
        return np.array([[middle, top], [right, centre], [middle, low], [left, centre]])
    turns = np.linspace(0, 2 * np.pi, 17)[:-1]
    ring = np.stack([np.cos(turns), np.sin(turns)], axis=1) * (right - left, height) * 0.5
    outline: np.ndarray = ring + ((left + right) / 2, (top + low) / 2)
    return outline


@lru_cache(maxsize=16)
def share_fence(kind: str, index: int) -> Texture:
    """Return 4 m of fence, with alpha: railing, board, mesh or barrier."""
    rng = np.random.default_rng((47, index, len(kind)))
    face = np.zeros((96, 256, 4), np.float32)
    if kind == "board":
        colour = np.array(((104, 82, 60), (120, 104, 84), (84, 74, 62))[index % 3], np.float32)
        boards = np.repeat(1 + 0.16 * rng.standard_normal(32), 8)[None, :, None]
        face[..., :3] = colour * boards * (1 + 0.12 * cut_noise(rng, (96, 256), 0.8)[..., None])
        face[..., 3] = 255
        face[:, ::8, :3] *= 0.55
        face[:, ::64, :3] *= 0.5
    else:
        grey = ((24, 26, 28), (150, 152, 152), (30, 50, 40), (90, 94, 96))[index % 4]
        ink = (*(float(c) for c in grey), 255.0)
        step = 8 if kind == "railing" else 12
        for x in range(0, 256, step):
            cv2.line(face, (x, 12), (x, 90), ink, 2)
        for y in (12, 86):
            cv2.line(face, (0, y), (256, y), ink, 4)
        for x in range(0, 256, 64):
            cv2.rectangle(face, (x, 4), (x + 5, 96), ink, -1)
    face[..., :3] *= face[..., 3:] / 255
    return build_texture(face, 64.0)


@dataclass(frozen=True)
class Fence:
    """A stretch of fence along the street."""

    kind: str
    index: int
    lateral_m: float
    along_m: float
    length_m: float
    height_m: float

    @property
    def far_m(self) -> float:
        """Return the far end, by which things are sorted."""
        return self.along_m + self.length_m

    def draw(self, canvas: Canvas, weather: Weather) -> None:
        """Paint the fence in pieces of 4 m, far ones first."""
        texture = share_fence(self.kind, self.index % 4)
        gain = weather.measure_gain(self.lateral_m)
        draw_strip(canvas, texture, FENCE, gain, self.lateral_m, (self.along_m, self.far_m),
                   (0.0, self.height_m), piece_m=4.0)  # fmt: skip


def draw_strip(
    canvas: Canvas,
    texture: Texture,
    label: int,
    gain: float,
    lateral_m: float,
    span_m: tuple[float, float],
    up_m: tuple[float, float],
    *,
    piece_m: float,
) -> None:
    """Paint an upright strip along the street from repeated pieces of a texture."""
    camera = canvas.camera
    pieces = max(1, round((span_m[1] - span_m[0]) / piece_m))
    edges = np.linspace(span_m[0], span_m[1], pieces + 1)
    nearest = camera.along_m + find_nearest_m(camera.size_hw, camera.focal_px, lateral_m - camera.lateral_m)
    for far_edge, near_edge in zip(edges[:0:-1], edges[-2::-1], strict=True):
        start = max(float(near_edge), nearest)
        if start >= far_edge - 0.05 or far_edge - camera.along_m > 110:
            continue
        share = (start - near_edge) / (far_edge - near_edge)
        ends = [(start, up_m[1]), (far_edge, up_m[1]), (far_edge, up_m[0]), (start, up_m[0])]
        uv_42 = camera.project(np.array([(lateral_m, z, s) for s, z in ends]))
        across = abs(uv_42[1, 0] - uv_42[0, 0]) / (far_edge - start)
        height = camera.measure_scale((start + far_edge) / 2)
        level = texture.pick_level(float(np.sqrt(max(across, 0.5) * height)))
        canvas.paint_quad(uv_42, texture, level, label, part=(share, 1.0), gain=gain)


def find_nearest_m(size_hw: tuple[int, int], focal_px: float, aside_m: float) -> float:
    """Return how far ahead a line beside the camera's path comes into view."""
    return max(0.6, focal_px * abs(aside_m) / (size_hw[1] * 0.95))
