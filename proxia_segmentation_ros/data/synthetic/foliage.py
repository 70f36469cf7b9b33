"""Trees in leaf, bare trees, bushes and hedges."""

import itertools
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
    field = np.asarray(cv2.GaussianBlur(field, (0, 0), 9))
    size_hw = (_SIDE, _SIDE)
    noise = 0.16 * cut_noise(rng, size_hw, 0.9) + 0.06 * cut_noise(rng, size_hw, 0.3)
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


@lru_cache(maxsize=BARE_COUNT)
def share_bare_tree(index: int) -> Sprite:
    """Return a tree without leaves, 7 m wide and high before it is stretched.

    As people label them, the whole crown counts as tree, the sky between its twigs included.
    """
    rng = np.random.default_rng((31, index))
    wood = np.zeros((_SIDE, _SIDE), np.uint8)
    start = (_SIDE / 2, _SIDE - 1.0, -math.pi / 2, float(rng.uniform(80, 94)), 12.0)
    _grow(wood, rng, start, 0)
    alpha = wood.astype(np.float32) / 255
    crown: np.ndarray = (alpha > 0.12).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (21, 21))
    crown = np.asarray(cv2.morphologyEx(crown, cv2.MORPH_CLOSE, kernel))
    colour = np.array((74, 64, 56), np.float32) * rng.uniform(0.7, 1.25)
    rgb = colour * (1 + 0.25 * cut_noise(rng, (_SIDE, _SIDE), 0.5)[..., None])
    return build_sprite(rgb, alpha, _SIDE / 7.0, crown > 0)


def _grow(
    wood: np.ndarray,
    rng: np.random.Generator,
    branch: tuple[float, float, float, float, float],
    depth: int,
) -> None:
    """Draw a bent branch and the branches that leave it."""
    x, y, turn, length, width = branch
    joints = [(x, y)]
    for _ in range(2):
        x, y = x + length / 2 * math.cos(turn), y + length / 2 * math.sin(turn)
        joints.append((x, y))
        turn += rng.normal(0, 0.16)
    strength = 255 if width >= 1.2 else 255 * max(width, 0.55) / 1.2
    fixed = [(round(a * 16), round(b * 16)) for a, b in joints]
    for one, other in itertools.pairwise(fixed):
        cv2.line(wood, one, other, (strength,), max(1, round(width)), cv2.LINE_AA, 4)
    if depth >= 7 or length < 6:
        return
    count = 3 if 1 <= depth <= 4 else 2
    for child in range(count):
        spread = (child - (count - 1) / 2) * rng.uniform(0.4, 0.75) + rng.normal(0, 0.12)
        share = 1.0 if child == count // 2 else rng.uniform(0.35, 1.0)
        (x0, y0), (x1, y1) = joints[1:] if share > 0.5 else joints[:2]
        part = (share * 2) % 1 or 1.0
        origin = (x0 + (x1 - x0) * part, y0 + (y1 - y0) * part)
        bent = (turn + spread) * 0.94 - math.pi / 2 * 0.06
        shorter = length * rng.uniform(0.64, 0.88)
        _grow(wood, rng, (*origin, bent, shorter, width * rng.uniform(0.55, 0.7)), depth + 1)


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
