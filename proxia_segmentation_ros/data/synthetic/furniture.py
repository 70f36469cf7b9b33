"""Poles, street lamps, signs and traffic lights."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np

from proxia_segmentation_ros.data.synthetic.canvas import Canvas
from proxia_segmentation_ros.data.synthetic.figures import RGB
from proxia_segmentation_ros.data.synthetic.stage import View
from proxia_segmentation_ros.data.synthetic.textures import Texture, build_texture, cut_noise
from proxia_segmentation_ros.data.synthetic.tone import Colour, light_lamp, scale

POLE, SIGN = 2, 6
_BOARDS = (
    (24, 70, 150), (20, 92, 60), (226, 224, 216), (220, 190, 40), (40, 40, 46), (150, 30, 40),
)  # fmt: skip
_TURNS = np.linspace(0, 2 * np.pi, 17)[:-1]
_RING = np.stack([np.cos(_TURNS), np.sin(_TURNS)], axis=1)


@dataclass(frozen=True)
class Pole:
    """A post; with an arm it is a street lamp."""

    lateral_m: float
    along_m: float
    height_m: float
    width_m: float
    rgb: RGB
    arm_m: float = 0.0

    reach_m = 60.0

    @property
    def far_m(self) -> float:
        """Return the distance by which things are sorted."""
        return self.along_m

    @cached_property
    def points_N3(self) -> np.ndarray:
        """Return foot, top, start and end of the lamp."""
        side = 0.0 if not self.arm_m else (0.55 if self.arm_m > 0 else -0.55)
        end = self.lateral_m + self.arm_m
        points = [(self.lateral_m, 0.0), (self.lateral_m, self.height_m)]
        points += [(end, self.height_m + 0.12), (end + side, self.height_m + 0.16)]
        return np.array([(x, z, self.along_m) for x, z in points])

    def draw(self, view: View) -> None:
        """Paint the post and its lamp."""
        canvas, weather = view.canvas, view.weather
        px_per_m = view.camera.measure_scale(self.along_m)
        least_px = 2.4 * max(view.camera.size_hw[0] / 360, 0.6)
        wide_px = self.width_m * px_per_m
        if view.is_near or wide_px < least_px * 0.5:
            return
        half = max(wide_px, least_px) / 2
        (u, low), (_, top), (end, lamp_v), (tip, tip_v) = view.uv_N2.tolist()
        colour = scale(self.rgb, weather.measure_gain(self.lateral_m) * 0.9)
        dark: Colour = (colour[0] * 0.6, colour[1] * 0.6, colour[2] * 0.6)
        canvas.fill_box(u - half, top, u + half, low, colour, POLE)
        if wide_px > 2.5:
            shady = (u - half, u) if weather.sun_side > 0 else (u, u + half)
            canvas.fill_box(shady[0], top, shady[1], low, dark, None)
        if wide_px > 4:
            foot = low - (0.9 if self.arm_m else 0.1) * px_per_m
            canvas.fill_box(u - half * 1.35, foot, u + half * 1.35, low, dark, POLE)
        if self.arm_m:
            thin = max(half * 0.45, 0.6)
            arm = np.array([(u, top), (end, lamp_v), (end, lamp_v + 2 * thin), (u, top + 2 * thin)])
            canvas.fill(arm, dark, POLE)
            high = max(0.06 * px_per_m, 0.7)
            shade: Colour = light_lamp(1.0, 0.85, 0.5) if weather.lamps_on else dark
            head = [(end, lamp_v - high), (tip, tip_v - high * 0.6), (tip, tip_v + high * 0.6)]
            canvas.fill(np.array([*head, (end, lamp_v + high)]), shade, POLE)


@lru_cache(maxsize=64)
def share_board(kind: str, index: int) -> Texture:
    """Return the face of a sign, 64 px wide and high."""
    rng = np.random.default_rng((43, index, len(kind)))
    face = np.zeros((64, 64, 3), np.uint8)
    if kind == "round":
        cv2.circle(face, (32, 32), 40, (190, 24, 28), -1)
        cv2.circle(face, (32, 32), 23, (232, 232, 228), -1)
        if index % 2:
            cv2.rectangle(face, (17, 23), (28, 42), (20, 20, 22), 4)
            cv2.rectangle(face, (36, 23), (47, 42), (20, 20, 22), 4)
        else:
            cv2.rectangle(face, (14, 28), (50, 37), (190, 24, 28), -1)
    elif kind == "blue round":
        face[:] = (224, 226, 230)
        cv2.circle(face, (32, 32), 29, (24, 66, 150), -1)
        cv2.arrowedLine(face, (44, 18), (18, 46), (235, 235, 235), 6, tipLength=0.5)
    elif kind in ("triangle", "diamond"):
        face[:] = (194, 26, 30)
        outer = np.array([[32, 2], [63, 60], [1, 60]] if kind == "triangle" else
                         [[32, 1], [63, 32], [32, 63], [1, 32]])  # fmt: skip
        inner = ((outer - (32, 36)) * 0.62 + (32, 38)).astype(np.int32)
        cv2.fillPoly(face, [inner], (230, 230, 226))
        cv2.line(face, (32, 30), (32, 50), (24, 24, 24), 5)
    else:
        colour = _BOARDS[int(rng.integers(len(_BOARDS)))]
        face[:] = colour
        ink = (235, 235, 230) if sum(colour) < 400 else (30, 30, 34)
        cv2.rectangle(face, (2, 2), (61, 61), ink, 2)
        for row in range(12, 58, 14):
            cv2.line(face, (8, row), (int(rng.integers(30, 56)), row), ink, 5)
    return build_texture(face * (1 + 0.05 * cut_noise(rng, (64, 64), 1.0))[..., None], 64.0)


@dataclass(frozen=True)
class Sign:
    """A sign, or the head of a traffic light, that faces the camera; `up_m` is its lower edge."""

    kind: str
    index: int
    lateral_m: float
    stand_m: float
    up_m: float
    size_m: tuple[float, float]

    reach_m = 75.0

    @property
    def along_m(self) -> float:
        """Return where it hangs: just before its post."""
        return self.stand_m - 0.05

    @property
    def far_m(self) -> float:
        """Return the distance by which things are sorted."""
        return self.along_m

    @cached_property
    def points_N3(self) -> np.ndarray:
        """Return the corners clockwise from top left."""
        half, top = self.size_m[0] / 2, self.up_m + self.size_m[1]
        left, right = self.lateral_m - half, self.lateral_m + half
        corners = ((left, top), (right, top), (right, self.up_m), (left, self.up_m))
        return np.array([(x, z, self.along_m) for x, z in corners])

    def draw(self, view: View) -> None:
        """Paint the face."""
        px_per_m = view.camera.measure_scale(self.along_m)
        if view.is_near or px_per_m * self.size_m[0] < 4:
            return
        if self.kind == "light":
            self._draw_light(view.canvas, view.uv_N2)
            return
        texture = share_board(self.kind, self.index % 8)
        outline = cut_outline(view.uv_N2, self.kind)
        if px_per_m * self.size_m[0] < 6:
            red, green, blue = texture.levels[-1].reshape(-1, 3).mean(axis=0).tolist()
            shade = 0.5 * (view.weather.facing_gain + 0.8)
            view.canvas.fill(outline, (red * shade, green * shade, blue * shade), SIGN)
            return
        level = texture.pick_level(px_per_m * self.size_m[0])
        gain = 0.5 * (view.weather.facing_gain + view.weather.measure_gain(self.lateral_m))
        view.canvas.paint_quad(view.uv_N2, texture, level, SIGN, gain=gain, outline_N2=outline)

    def _draw_light(self, canvas: Canvas, uv_42: np.ndarray) -> None:
        """Paint a traffic light with one lit lamp."""
        canvas.fill(uv_42, (22, 22, 23), SIGN)
        left, top = uv_42[0]
        width, height = uv_42[2] - uv_42[0]
        lit = (0, 2, 2)[self.index % 3]
        colours = ((1.0, 0.25, 0.2), (1.0, 0.8, 0.3), (0.3, 1.0, 0.75))
        for lamp in range(3):
            if lamp != lit and width < 8:
                continue
            centre = np.array((left + width / 2, top + height * (lamp + 0.5) / 3))
            colour = (36.0, 36.0, 36.0)
            if lamp == lit:
                colour = light_lamp(*colours[lamp])
            canvas.fill(centre + width * 0.33 * _RING, colour, None)


def cut_outline(uv_42: np.ndarray, kind: str) -> np.ndarray:
    """Return the outline of a sign's shape within its square."""
    (left, top), (right, low) = uv_42[0], uv_42[2]
    middle, height = (left + right) / 2, low - top
    if kind in ("board", "plate"):
        return uv_42
    if kind == "triangle":
        foot = low - 0.05 * height
        return np.array([[middle, top + 0.03 * height], [right, foot], [left, foot]])
    if kind == "diamond":
        centre = (top + low) / 2
        return np.array([[middle, top], [right, centre], [middle, low], [left, centre]])
    ring = _RING * ((right - left) / 2, height / 2)
    outline: np.ndarray = ring + np.array((middle, (top + low) / 2))
    return outline
