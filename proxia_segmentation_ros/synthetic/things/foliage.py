"""Trees in leaf, bushes and hedges."""

import math
from functools import lru_cache

import cv2
import numpy as np

from proxia_segmentation_ros.synthetic.drawing.textures import (
    Sprite,
    Texture,
    build_sprite,
    build_texture,
    cut_noise,
)

LEAFY_COUNT = 10
BUSH_COUNT = 6
_GREENS = ((60, 88, 36), (80, 104, 44), (48, 72, 36), (96, 110, 46), (40, 66, 40), (104, 106, 40))
_SIDE = 384


@lru_cache(maxsize=LEAFY_COUNT)
def share_leafy_tree(index: int) -> Sprite:
    """Return a tree in leaf, 7 m wide and high before it is stretched."""
    rng = np.random.default_rng((29, index))
    is_conifer = index % 5 == 4
    crown = _draw_crown(rng, is_conifer)
    alpha, rgb = crown, make_leaves(rng, (_SIDE, _SIDE), crown)
    trunk = np.zeros((_SIDE, _SIDE), np.uint8)
    half = int(rng.integers(6, 11))
    foot = [[_SIDE // 2 - half, _SIDE - 1], [_SIDE // 2 + half, _SIDE - 1]]
    top = [[_SIDE // 2 + half // 2, _SIDE // 2], [_SIDE // 2 - half // 2, _SIDE // 2]]
    cv2.fillPoly(trunk, [np.array(foot + top, np.int32)], (255,))
    bark = np.array((70, 60, 50), np.float32) * (
        1 + 0.25 * cut_noise(rng, (_SIDE, _SIDE), 0.6)[..., None]
    )
    is_trunk = (trunk > 0) & (alpha < 0.5)
    rgb[is_trunk] = bark[is_trunk]
    alpha = np.maximum(alpha, trunk / 255.0)
    return build_sprite(rgb, alpha, _SIDE / 7.0)


def _draw_crown(rng: np.random.Generator, is_conifer: bool) -> np.ndarray:
    """Return how much of each pixel is leaves."""
    field: np.ndarray = np.zeros((_SIDE, _SIDE), np.float32)
    count = 26
    for part in range(count):
        if is_conifer:
            share = part / count
            x, y = _SIDE / 2 + rng.normal(0, 4 + 36 * share), 26 + share * _SIDE * 0.82
            radius = 14 + 50 * share
        else:
            turn, reach = rng.uniform(0, 2 * math.pi), math.sqrt(rng.uniform(0, 1)) * 0.24 * _SIDE
            x = _SIDE / 2 + reach * 1.15 * math.cos(turn)
            y = 0.44 * _SIDE + reach * math.sin(turn)
            radius = rng.uniform(32, 60)
        cv2.circle(field, (round(x), round(y)), round(radius), (1.0,), -1)
    field = np.asarray(cv2.GaussianBlur(field, (0, 0), 9))
    size_hw = (_SIDE, _SIDE)
    noise = 0.13 * cut_noise(rng, size_hw, 1.1) + 0.03 * cut_noise(rng, size_hw, 0.3)
    field += noise * np.clip(field * 5, 0, 1)
    crown: np.ndarray = np.clip((field - 0.5) * 5 + 0.5, 0, 1)
    crown[:6] = 0
    crown[:, :4] = crown[:, -4:] = 0
    return crown


def make_leaves(
    rng: np.random.Generator, size_hw: tuple[int, int], crown: np.ndarray | None = None
) -> np.ndarray:
    """Return foliage in 0..255: clumps that are light above and dark below, with dark gaps."""
    colour: np.ndarray = np.array(_GREENS[int(rng.integers(len(_GREENS)))], np.float32)
    colour = colour * rng.uniform(0.75, 1.15) + rng.uniform(-6, 6, 3)
    clumps = cut_noise(rng, size_hw, 1.2)
    relief = clumps - np.roll(clumps, 7, axis=0)
    tone = 1 + 0.4 * relief + 0.16 * clumps + 0.3 * cut_noise(rng, size_hw, 0.3)
    if crown is not None:
        tone *= np.linspace(1.2, 0.7, size_hw[0], dtype=np.float32)[:, None]
    leaves: np.ndarray = np.clip(tone, 0.12, 2.2)[..., None] * colour
    return leaves


@lru_cache(maxsize=BUSH_COUNT)
def share_bush(index: int) -> Sprite:
    """Return a bush, 3 m wide and 1.5 m high before it is stretched."""
    rng = np.random.default_rng((37, index))
    size_hw = (144, 288)
    field: np.ndarray = np.zeros(size_hw, np.float32)
    for _ in range(12):
        x, y = rng.uniform(50, 238), rng.uniform(70, 130)
        cv2.circle(field, (round(x), round(y)), int(rng.uniform(26, 48)), (1.0,), -1)
    field[110:, 40:250] = 1
    field = np.asarray(cv2.GaussianBlur(field, (0, 0), 6))
    field += 0.14 * cut_noise(rng, size_hw, 0.7) * np.clip(field * 5, 0, 1)
    alpha = np.clip((field - 0.5) * 5 + 0.5, 0, 1)
    alpha[:3] = 0
    return build_sprite(make_leaves(rng, size_hw, alpha), alpha, 96.0)


@lru_cache(maxsize=4)
def share_hedge(index: int) -> Texture:
    """Return foliage of a hedge, 8 m long and 1.6 m high."""
    rng = np.random.default_rng((41, index))
    leaves = make_leaves(rng, (64, 320), None)
    leaves *= np.linspace(1.25, 0.6, 64, dtype=np.float32)[:, None, None]
    return build_texture(leaves, 40.0)
