"""Poles, street lamps, signs and traffic lights."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np

from proxia_segmentation_ros.synthetic.drawing.canvas import Canvas
from proxia_segmentation_ros.synthetic.drawing.textures import Texture, build_texture, cut_noise
from proxia_segmentation_ros.synthetic.stage import View
from proxia_segmentation_ros.synthetic.things.figures import RGB
from proxia_segmentation_ros.synthetic.tone import Colour, light_lamp, scale

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

    least_px = 6.0
    _lantern_share = 1.9
    _roof_share = 1.2

    @property
    def coarsest_m(self) -> float:
        """Return the size of a pixel at which its width fills `least_px`."""
        return self.width_m / self.least_px

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

    @property
    def rim_m(self) -> float:
        """Return half the width of the widest part, a lantern's roof."""
        return self.width_m / 2 * self._lantern_share * self._roof_share

    def draw(self, view: View) -> None:
        """Paint the post with its foot and band, and its lamp."""
        canvas, weather = view.canvas, view.weather
        if view.is_near:
            return
        px_per_m = view.camera.measure_scale(self.along_m)
        half = self.width_m * px_per_m / 2
        (u, low), (_, top) = view.uv_N2[:2].tolist()
        colour = scale(self.rgb, weather.measure_gain(self.lateral_m) * 0.9)
        dark: Colour = (colour[0] * 0.6, colour[1] * 0.6, colour[2] * 0.6)
        canvas.fill_box(u - half, top, u + half, low, colour, POLE)
        shady = (u - half, u) if weather.sun_side > 0 else (u, u + half)
        canvas.fill_box(shady[0], top, shady[1], low, dark, None)
        foot = low - (0.9 if self.height_m > 4 else 0.12) * px_per_m
        canvas.fill_box(u - half * 1.3, foot, u + half * 1.3, low, dark, POLE)
        band = low - min(1.15, 0.85 * self.height_m) * px_per_m
        canvas.fill_box(u - half, band, u + half, band + 0.16 * px_per_m, (206, 204, 196), None)
        if self.height_m > 4:
            self._draw_lamp(view, half, dark)

    def _draw_lamp(self, view: View, half: float, dark: Colour) -> None:
        """Paint a lantern on the post, or one that hangs from a stout arm."""
        canvas, (u, top) = view.canvas, view.uv_N2[1].tolist()
        lit: Colour = light_lamp(1.0, 0.85, 0.5) if view.weather.lamps_on else (196, 196, 184)
        if not self.arm_m:
            wide, tall = self._lantern_share * half, 4.6 * half
            glass = [(u - half, top), (u - wide, top - tall), (u + wide, top - tall)]
            canvas.fill(np.array([*glass, (u + half, top)]), lit, POLE)
            eaves = wide * self._roof_share
            roof = [(u - eaves, top - tall), (u, top - 1.35 * tall)]
            canvas.fill(np.array([*roof, (u + eaves, top - tall)]), dark, POLE)
            return
        (end, end_v), (tip, tip_v) = view.uv_N2[2:].tolist()
        arm = [(u, top), (end, end_v), (end, end_v + 1.5 * half), (u, top + 1.5 * half)]
        canvas.fill(np.array(arm), dark, POLE)
        head = [(end, end_v - 0.4 * half), (tip, tip_v - 0.2 * half), (tip, tip_v + 1.5 * half)]
        canvas.fill(np.array([*head, (end, end_v + 2 * half)]), dark, POLE)
        glow = [(end, end_v + 1.4 * half), (tip, tip_v + 1.1 * half), (tip, tip_v + 1.5 * half)]
        canvas.fill(np.array([*glow, (end, end_v + 2 * half)]), lit, None)


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
    """A sign, or the head of a traffic light, that faces the camera; `up_m` is its lower edge.

    It is seen just as far as its post, `post_m` thick.
    """

    kind: str
    index: int
    lateral_m: float
    stand_m: float
    up_m: float
    size_m: tuple[float, float]
    post_m: float

    least_px = Pole.least_px
    rim_m = 0.0

    @property
    def coarsest_m(self) -> float:
        """Return the size of a pixel at which its post fills `least_px`."""
        return self.post_m / self.least_px

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
        if view.is_near:
            return
        if self.kind == "light":
            self._draw_light(view.canvas, view.uv_N2)
            return
        texture = share_board(self.kind, self.index % 8)
        outline = cut_outline(view.uv_N2, self.kind)
        level = texture.pick_level(px_per_m * self.size_m[0])
        gain = 0.5 * (view.weather.facing_gain + view.weather.measure_gain(self.lateral_m))
        view.canvas.paint_quad(view.uv_N2, texture, level, SIGN, gain=gain, outline_N2=outline)

    def _draw_light(self, canvas: Canvas, uv_42: np.ndarray) -> None:
        """Paint a traffic light with one lit lamp on its white-edged board."""
        canvas.fill(uv_42, (206, 206, 200), SIGN)
        centre = uv_42.mean(axis=0)
        canvas.fill(centre + (uv_42 - centre) * (0.86, 0.94), (20, 20, 22), SIGN)
        top = uv_42[0, 1]
        width, height = uv_42[2] - uv_42[0]
        lit = (0, 2, 2)[self.index % 3]
        colours = ((1.0, 0.25, 0.2), (1.0, 0.8, 0.3), (0.3, 1.0, 0.75))
        for lamp in range(3):
            centre = np.array((uv_42[:, 0].mean(), top + height * (lamp * 0.29 + 0.21)))
            colour = light_lamp(*colours[lamp]) if lamp == lit else (48.0, 46.0, 46.0)
            canvas.fill(centre + width * 0.29 * _RING, colour, None)


def cut_outline(uv_42: np.ndarray, kind: str) -> np.ndarray:
    """Return the outline of a sign's shape within its square."""
    (left, top), (right, low) = uv_42[0], uv_42[2]
    middle, height = (left + right) / 2, low - top
    if kind == "board":
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
