"""Trees in leaf, bare trees, bushes and hedges."""

import math
from functools import lru_cache

import cv2
import numpy as np

from proxia_segmentation_ros.data.synthetic.textures import (
    Sprite,
    Texture,
    build_sprite,
    build_texture,
    cut_noise,
)

LEAFY_COUNT = 10
BARE_COUNT = 8
BUSH_COUNT = 6
_GREENS = ((66, 84, 40), (84, 96, 50), (52, 66, 38), (104, 104, 56), (46, 58, 40), (96, 84, 48))
_SIDE = 384
_DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (11, 11))


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
    outline = cv2.morphologyEx((alpha > 0.4).astype(np.uint8), cv2.MORPH_CLOSE, _DISC)
    return build_sprite(rgb, alpha, outline > 0, _SIDE / 7.0)


def _draw_crown(rng: np.random.Generator, is_conifer: bool) -> np.ndarray:
    """Return how much of each pixel is leaves."""
    field = np.zeros((_SIDE, _SIDE), np.float32)
    count = 26 if is_conifer else 16
    for part in range(count):
        if is_conifer:
            share = part / count
            x, y = _SIDE / 2 + rng.normal(0, 4 + 36 * share), 26 + share * _SIDE * 0.82
            radius = 14 + 50 * share
        else:
            turn, reach = rng.uniform(0, 2 * math.pi), math.sqrt(rng.uniform(0, 1)) * 0.29 * _SIDE
            x = _SIDE / 2 + reach * 1.15 * math.cos(turn)
            y = 0.4 * _SIDE + reach * math.sin(turn)
            radius = rng.uniform(38, 66)
        cv2.circle(field, (round(x), round(y)), round(radius), (1.0,), -1)
    field = cv2.GaussianBlur(field, (0, 0), 9)
    noise = 0.16 * cut_noise(rng, field.shape, 0.9) + 0.1 * cut_noise(rng, field.shape, 0.3)
    field += noise * np.clip(field * 5, 0, 1)
    crown: np.ndarray = np.clip((field - 0.5) * 5 + 0.5, 0, 1)
    crown[:6] = 0
    crown[:, :4] = crown[:, -4:] = 0
    return crown


def make_leaves(
    rng: np.random.Generator, size_hw: tuple[int, int], crown: np.ndarray | None = None
) -> np.ndarray:
    """Return foliage in 0..255: clumps that are light above and dark below, with dark gaps."""
    colour = np.array(_GREENS[int(rng.integers(len(_GREENS)))], np.float32)
    colour = colour * rng.uniform(0.75, 1.15) + rng.uniform(-6, 6, 3)
    clumps = cut_noise(rng, size_hw, 1.2)
    relief = clumps - np.roll(clumps, 7, axis=0)
    tone = 1 + 0.4 * relief + 0.16 * clumps + 0.3 * cut_noise(rng, size_hw, 0.3)
    if crown is not None:
        tone *= np.linspace(1.2, 0.7, size_hw[0], dtype=np.float32)[:, None]
    leaves: np.ndarray = np.clip(tone, 0.12, 2.2)[..., None] * colour
    return leaves


@lru_cache(maxsize=BARE_COUNT)
def share_bare_tree(index: int) -> Sprite:
    """Return a tree without leaves, 7 m wide and high before it is stretched.

    As people label them, the whole crown counts as tree, the sky between its twigs included.
    """
    rng = np.random.default_rng((31, index))
    wood = np.zeros((_SIDE, _SIDE), np.uint8)
    twigs: list[tuple[float, float]] = []
    start = (_SIDE / 2, _SIDE - 1.0, -math.pi / 2, float(rng.uniform(88, 112)), 11.0)
    _grow(wood, rng, start, 0, twigs)
    alpha = cv2.GaussianBlur(wood, (0, 0), 0.6).astype(np.float32) / 255
    crown = (alpha > 0.12).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (21, 21))
    crown = cv2.morphologyEx(crown, cv2.MORPH_CLOSE, kernel)
    colour = np.array((74, 64, 56), np.float32) * rng.uniform(0.7, 1.25)
    rgb = colour * (1 + 0.25 * cut_noise(rng, (_SIDE, _SIDE), 0.5)[..., None])
    return build_sprite(rgb, np.clip(alpha * 1.25, 0, 1), crown > 0, _SIDE / 7.0)


def _grow(
    wood: np.ndarray,
    rng: np.random.Generator,
    branch: tuple[float, float, float, float, float],
    depth: int,
    twigs: list[tuple[float, float]],
) -> None:
    """Draw a branch and the branches that leave it."""
    x, y, turn, length, width = branch
    end_x, end_y = x + length * math.cos(turn), y + length * math.sin(turn)
    fixed = [(round(a * 16), round(b * 16)) for a, b in ((x, y), (end_x, end_y))]
    strength = 255 if width >= 1.4 else 150
    cv2.line(wood, fixed[0], fixed[1], (strength,), max(1, round(width)), cv2.LINE_AA, 4)
    if depth >= 7 or length < 7:
        twigs.append((end_x, end_y))
        return
    for child in range(3 if depth in (1, 2, 3) else 2):
        spread = rng.normal(0, 0.14) + (child - (0.5 if depth not in (1, 2, 3) else 1.0)) * 0.62
        origin = rng.uniform(0.6, 1.0) if child else 1.0
        bent = (turn + spread) * 0.93 + -math.pi / 2 * 0.07
        start = (x + (end_x - x) * origin, y + (end_y - y) * origin)
        shorter = length * rng.uniform(0.62, 0.82)
        _grow(wood, rng, (*start, bent, shorter, width * 0.66), depth + 1, twigs)


@lru_cache(maxsize=BUSH_COUNT)
def share_bush(index: int) -> Sprite:
    """Return a bush, 3 m wide and 1.5 m high before it is stretched."""
    rng = np.random.default_rng((37, index))
    size_hw = (144, 288)
    field = np.zeros(size_hw, np.float32)
    for _ in range(12):
        x, y = rng.uniform(50, 238), rng.uniform(70, 130)
        cv2.circle(field, (round(x), round(y)), int(rng.uniform(26, 48)), (1.0,), -1)
    field[110:, 40:250] = 1
    field = cv2.GaussianBlur(field, (0, 0), 6)
    field += 0.14 * cut_noise(rng, size_hw, 0.7) * np.clip(field * 5, 0, 1)
    alpha = np.clip((field - 0.5) * 5 + 0.5, 0, 1)
    alpha[:3] = 0
    return build_sprite(make_leaves(rng, size_hw, alpha), alpha, alpha > 0.5, 96.0)


@lru_cache(maxsize=4)
def share_hedge(index: int) -> Texture:
    """Return foliage of a hedge, 8 m long and 2 m high."""
    rng = np.random.default_rng((41, index))
    leaves = make_leaves(rng, (80, 320), None)
    leaves *= np.linspace(1.25, 0.6, 80, dtype=np.float32)[:, None, None]
    return build_texture(leaves, 40.0)
