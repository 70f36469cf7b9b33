"""Upright strips along the street: fences and hedges."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np

from proxia_segmentation_ros.synthetic.drawing.textures import Texture, build_texture, cut_noise
from proxia_segmentation_ros.synthetic.stage import View, measure_reach
from proxia_segmentation_ros.synthetic.things.foliage import share_hedge

TREE, FENCE = 5, 7


_PAINTS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "board": ((196, 152, 84), (168, 128, 74), (60, 112, 92), (70, 104, 140)),
    "picket": ((226, 226, 220), (214, 210, 196), (226, 222, 206), (190, 206, 214)),
    "railing": ((34, 84, 58), (30, 70, 110), (96, 36, 40), (40, 42, 46)),
}


@lru_cache(maxsize=16)
def share_fence(kind: str, index: int) -> Texture:
    """Return 8 m of fence: boards, a picket fence, or railings before a metal sheet."""
    rng = np.random.default_rng((47, index, len(kind)))
    colour = np.array(_PAINTS[kind][index % 4], np.float32)
    face = np.empty((96, 512, 3), np.float32)
    tones = np.repeat(1 + 0.07 * rng.standard_normal(32), 16)[None, :, None]
    face[:] = colour * tones * (1 + 0.06 * cut_noise(rng, (96, 512), 0.8)[..., None])
    if kind == "board":
        face[:, ::16] *= 0.45
        face[:, 1::16] *= 0.45
        face[20:26] *= 0.8
        face[68:74] *= 0.8
    elif kind == "picket":
        for x in range(10, 512, 16):
            face[8:, x : x + 6] *= 0.35
    else:
        face *= 0.6
        for x in range(0, 512, 12):
            cv2.line(face, (x, 8), (x, 96), (colour * 1.7 + 16).tolist(), 3)
        for y in (6, 84):
            cv2.line(face, (0, y), (512, y), (colour * 1.7 + 16).tolist(), 5)
    for x in range(0, 512, 128):
        post = (colour * (0.7 if kind != "railing" else 1.5)).tolist()
        cv2.rectangle(face, (x, 0), (x + 11, 96), post, -1)
    return build_texture(face, 64.0)


@dataclass(frozen=True)
class Strip:
    """A fence (board, picket, railing) or hedge along the street."""

    kind: str
    index: int
    lateral_m: float
    along_m: float
    length_m: float
    height_m: float

    least_px = 11.0
    rim_m = 0.0

    @property
    def coarsest_m(self) -> float:
        """Return the size of a pixel at which its height fills `least_px`."""
        return self.height_m / self.least_px

    @property
    def far_m(self) -> float:
        """Return the far end, by which things are sorted."""
        return self.along_m + self.length_m

    @cached_property
    def points_N3(self) -> np.ndarray:
        """Return upper and lower points of all joints between its pieces."""
        piece_m = 8.0
        count = max(1, round(self.length_m / piece_m)) + 1
        points_N3 = np.empty((2 * count, 3))
        points_N3[:, 0] = self.lateral_m
        points_N3[0::2, 1], points_N3[1::2, 1] = self.height_m, 0.0
        points_N3[:, 2] = np.repeat(np.linspace(self.along_m, self.far_m, count), 2)
        return points_N3

    def draw(self, view: View) -> None:
        """Paint the pieces within sight, far ones first; the fence ends where sight does."""
        is_hedge = self.kind == "hedge"
        texture = (
            share_hedge(self.index % 4) if is_hedge else share_fence(self.kind, self.index % 4)
        )
        gain = view.weather.measure_gain(self.lateral_m)
        nearest = find_nearest_m(view, self.lateral_m)
        reach_m = measure_reach(view.camera, self)
        ahead = view.placed_N3[0::2, 2].tolist()
        for piece in range(len(ahead) - 2, -1, -1):
            begin, end = ahead[piece], ahead[piece + 1]
            near, far = max(begin, nearest), min(end, reach_m)
            if end < nearest + 0.05:
                break
            if far < near + 0.05:
                continue
            uv_42 = view.uv_N2[[2 * piece, 2 * piece + 2, 2 * piece + 3, 2 * piece + 1]]
            if (near, far) != (begin, end):
                uv_42 = project_front(view, self.lateral_m, (near, far), self.height_m)
            part = ((near - begin) / (end - begin), (far - begin) / (end - begin))
            across = abs(float(uv_42[1, 0] - uv_42[0, 0])) / (far - near)
            height = 2 * view.camera.focal_px / (near + far)
            level = texture.pick_level(float(np.sqrt(max(across, 0.5) * height)))
            label = TREE if is_hedge else FENCE
            view.canvas.paint_quad(uv_42, texture, level, label, part=part, gain=gain)


def project_front(
    view: View, lateral_m: float, ahead_m: tuple[float, float], height_m: float
) -> np.ndarray:
    """Return the corners of an upright front along the street, clockwise from its near top."""
    near, far = (view.camera.along_m + m for m in ahead_m)
    corners = ((near, height_m), (far, height_m), (far, 0.0), (near, 0.0))
    return view.camera.project(np.array([(lateral_m, z, s) for s, z in corners]))


def find_nearest_m(view: View, lateral_m: float) -> float:
    """Return how far ahead a line beside the camera's path comes into view."""
    camera = view.camera
    aside_m = abs(lateral_m - camera.lateral_m)
    return max(camera.near_m, camera.focal_px * aside_m / (camera.size_hw[1] * 0.95))
