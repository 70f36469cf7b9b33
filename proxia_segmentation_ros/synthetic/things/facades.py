"""Fronts of houses, shops and offices as textures."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from proxia_segmentation_ros.synthetic.drawing.textures import (
    Texture,
    build_texture,
    cut_noise,
)
from proxia_segmentation_ros.synthetic.tone import Colour

FACADE_COUNT = 44
PX_PER_M = 32
RGB = tuple[int, int, int]
_BRICKS = (
    (132, 84, 66),
    (150, 108, 82),
    (178, 152, 112),
    (112, 78, 66),
    (164, 126, 92),
    (98, 72, 62),
    (190, 168, 130),
)
_PLASTERS = ((226, 222, 210), (205, 198, 180), (232, 218, 188), (170, 166, 160), (214, 196, 190))
_STONES = ((140, 134, 122), (108, 102, 92), (168, 160, 142), (84, 80, 74))
_CONCRETES = (*_STONES, *_PLASTERS[3:])
_FASCIAS = (
    (30, 50, 120), (20, 84, 52), (150, 24, 30), (34, 34, 38), (200, 190, 60), (220, 220, 216),
    (92, 30, 70), (24, 110, 140), (210, 96, 30),
)  # fmt: skip
_DOORS = ((120, 20, 24), (22, 40, 84), (24, 60, 40), (40, 36, 34), (200, 200, 196))
_ROOFS = ((84, 80, 84), (112, 66, 52), (70, 66, 66), (128, 84, 64))


@dataclass(frozen=True)
class Facade:
    """A house front: `kind` is house, shop, office or stone."""

    kind: str
    front: Texture
    wall: Texture
    width_m: float
    height_m: float
    roof_rgb: tuple[int, int, int]
    is_pitched: bool
    front_rgb: Colour
    wall_rgb: Colour


@lru_cache(maxsize=FACADE_COUNT)
def share_facade(index: int) -> Facade:
    """Return one of the fronts that all scenes share; each index has its own seed."""
    rng = np.random.default_rng((23, index))
    kind = ("house", "shop", "house", "shop", "office", "stone", "house", "shop")[index % 8]
    floors = {"house": 2, "shop": 2, "office": 3, "stone": 2}[kind] + int(rng.integers(0, 3) // 1)
    floors = min(floors, 3) if kind == "house" else floors
    width_m = float(rng.uniform(5, 9) if kind in ("house", "shop") else rng.uniform(9, 15))
    storey_m = float(rng.uniform(2.7, 3.1) + (0.4 if kind in ("office", "stone") else 0))
    height_m = storey_m * floors + (0.9 if kind == "shop" else 0.4)
    size_hw = (round(height_m * PX_PER_M), round(width_m * PX_PER_M))
    material = _pick_material(rng, kind)
    image = make_wall(rng, material, size_hw)
    _draw_storeys(image, rng, kind, floors, storey_m)
    _draw_trim(image, rng, kind)
    wall = make_wall(rng, material, (320, 320))
    return Facade(
        kind,
        build_texture(image, PX_PER_M),
        build_texture(wall, PX_PER_M),
        width_m,
        height_m,
        _ROOFS[int(rng.integers(len(_ROOFS)))],
        kind in ("house", "stone") or bool(rng.random() < 0.4),
        _average(image),
        _average(wall),
    )


def _average(image: np.ndarray) -> Colour:
    """Return the mean colour of an image."""
    red, green, blue = image.mean(axis=(0, 1)).tolist()
    return (red, green, blue)


def _pick_material(rng: np.random.Generator, kind: str) -> tuple[str, np.ndarray]:
    """Return pattern and colour of a wall."""
    pattern: str
    colours: tuple[RGB, ...]
    if kind == "stone":
        pattern, colours = "stone", _STONES
    elif kind == "office":
        is_plain = bool(rng.random() < 0.5)
        pattern, colours = ("plain", _CONCRETES) if is_plain else ("brick", _BRICKS)
    elif rng.random() < 0.6:
        pattern, colours = "brick", _BRICKS
    else:
        pattern, colours = "plain", _PLASTERS
    colour = np.array(colours[int(rng.integers(len(colours)))], np.float32)
    return pattern, colour * float(rng.uniform(0.8, 1.1)) + rng.uniform(-8, 8, 3)


def make_wall(
    rng: np.random.Generator, material: tuple[str, np.ndarray], size_hw: tuple[int, int]
) -> np.ndarray:
    """Return a wall as float image in 0..255, with stains and the pattern of its bricks."""
    pattern, colour = material
    height, width = size_hw
    tone = 1 + 0.07 * cut_noise(rng, size_hw, 1.4) + 0.03 * cut_noise(rng, size_hw, 0.4)
    if pattern != "plain":
        brick_hw = (0.085, 0.24) if pattern == "brick" else (0.3, 0.55)
        rows = int(height / PX_PER_M / brick_hw[0]) + 1
        columns = int(width / PX_PER_M / brick_hw[1]) + 1
        bricks = rng.standard_normal((rows, columns)).astype(np.float32)
        amount = 0.085 if pattern == "brick" else 0.05
        tone += amount * cv2.resize(bricks, (width, height), interpolation=cv2.INTER_NEAREST)
    shade = np.linspace(1.04, 0.9, height, dtype=np.float32)[:, None]
    return (tone * shade)[..., None] * colour.astype(np.float32)


def _draw_storeys(
    image: np.ndarray, rng: np.random.Generator, kind: str, floors: int, storey_m: float
) -> None:
    """Draw the windows of every floor and what the ground floor has instead."""
    height, width = image.shape[:2]
    storey = storey_m * PX_PER_M
    spacing_m = float(rng.uniform(1.9, 2.8) if kind != "office" else rng.uniform(1.6, 2.2))
    columns = max(2, round(width / PX_PER_M / spacing_m))
    ribbon = kind == "office" and rng.random() < 0.5
    share = float(rng.uniform(0.4, 0.55)) if not ribbon else 0.92
    tall = float(rng.uniform(0.48, 0.62))
    frame = (235, 235, 230) if rng.random() < 0.7 else (60, 56, 54)
    arched = kind == "stone" and rng.random() < 0.6
    for floor in range(floors):
        base = height - floor * storey
        if floor == 0 and kind == "shop":
            draw_shop(image, rng, storey * 1.12)
            continue
        for column in range(columns):
            centre = (column + 0.5) * width / columns
            half = share * width / columns / 2
            box = (centre - half, base - storey * (0.3 + tall * 0.95), centre + half)
            if floor == 0 and kind == "house" and column == columns - 1:
                _draw_door(image, rng, centre, base, storey)
            else:
                draw_window(image, rng, (*box, base - storey * 0.3), frame, arched)


def draw_window(
    image: np.ndarray,
    rng: np.random.Generator,
    box: tuple[float, float, float, float],
    frame: tuple[int, int, int],
    arched: bool,
) -> None:
    """Draw a sash window with its frame, its sill and what it mirrors."""
    left, top, right, bottom = (round(edge) for edge in box)
    top = max(top, 4)
    if right - left < 6 or bottom - top < 6:
        return
    cv2.rectangle(image, (left - 2, top - 2), (right + 2, bottom + 2), frame, -1)
    if not arched:
        cv2.rectangle(image, (left - 5, bottom + 2), (right + 5, bottom + 5), (200, 196, 186), -1)
        cv2.rectangle(image, (left - 3, top - 7), (right + 3, top - 3), (176, 166, 150), -1)
    glass = make_glass(rng, (bottom - top, right - left))
    image[top:bottom, left:right] = glass[: image[top:bottom, left:right].shape[0]]
    middle = (left + right) // 2
    bar = (top + bottom) // 2
    thickness = 2 if right - left > 20 else 1
    cv2.line(image, (middle, top), (middle, bottom), frame, thickness)
    cv2.line(image, (left, bar), (right, bar), frame, thickness)


def make_glass(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Return dark glass that mirrors some sky, sometimes with curtains behind it."""
    tone = np.linspace(rng.uniform(40, 120), rng.uniform(22, 60), size_hw[0], dtype=np.float32)
    noise = cut_noise(rng, size_hw, 1.5)
    grey = tone[:, None] * (1 + 0.35 * noise)
    glass = grey[..., None] * np.array((0.94, 1.0, 1.06), np.float32)
    if rng.random() < 0.35:
        curtain = max(2, size_hw[1] // 4)
        glass[:, :curtain] = glass[:, -curtain:] = rng.uniform(90, 180) * rng.uniform(0.92, 1.08, 3)
    if rng.random() < 0.25:
        glass[: size_hw[0] // 2] += rng.uniform(40, 90)
    return np.clip(glass, 8, 235)


def _draw_door(
    image: np.ndarray, rng: np.random.Generator, centre: float, base: float, storey: float
) -> None:
    """Draw a house door with a light above it."""
    half = 0.48 * PX_PER_M
    left, right, top = round(centre - half), round(centre + half), round(base - storey * 0.76)
    colour = _DOORS[int(rng.integers(len(_DOORS)))]
    cv2.rectangle(image, (left - 4, top - 12), (right + 4, round(base)), (220, 216, 208), -1)
    cv2.rectangle(image, (left, top), (right, round(base)), colour, -1)
    cv2.rectangle(image, (left, top - 9), (right, top - 3), (50, 54, 60), -1)
    cv2.rectangle(image, (left + 5, top + 8), (right - 5, top + 26), (44, 46, 50), 1)


def draw_shop(image: np.ndarray, rng: np.random.Generator, storey: float) -> None:
    """Draw a shop: name board, panes with goods behind them, door, stall riser."""
    height, width = image.shape[:2]
    colour = np.array(_FASCIAS[int(rng.integers(len(_FASCIAS)))], np.float32)
    top = int(height - storey)
    board = top + int(0.75 * PX_PER_M)
    cv2.rectangle(image, (4, top), (width - 4, height), (colour * 0.8).tolist(), -1)
    panes = int(rng.integers(2, 5))
    edges = np.linspace(10, width - 10, panes + 1).astype(int)
    door = int(rng.integers(panes))
    for pane in range(panes):
        left, right = int(edges[pane]) + 3, int(edges[pane + 1]) - 3
        low = height - 2 if pane == door else height - int(0.5 * PX_PER_M)
        goods = make_goods(rng, (low - board, right - left))
        image[board:low, left:right] = goods
    cv2.rectangle(image, (0, top - 3), (width, board - 3), colour.tolist(), -1)
    cv2.line(image, (0, board - 2), (width, board - 2), (25, 25, 25), 3)
    cv2.line(image, (0, top - 5), (width, top - 5), (210, 206, 196), 2)
    light = float(colour.mean()) < 110
    ink = (232, 228, 210) if light else (40, 36, 40)
    draw_letters(image, rng, (int(width * 0.2), top + 4, int(width * 0.8), board - 9), ink)


def make_goods(rng: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Return a shop window: a dark room with coloured things in it."""
    goods = make_glass(rng, size_hw) * 0.6
    height, width = size_hw
    for _ in range(int(rng.integers(4, 14))):
        x, y = int(rng.integers(width)), int(rng.integers(height // 3, height))
        w, h = (int(n) for n in rng.integers(4, 26, 2))
        colour = rng.uniform(20, 170) * rng.uniform(0.7, 1.3, 3)
        cv2.rectangle(goods, (x, y), (x + w, y + h), colour.tolist(), -1)
    if rng.random() < 0.5:
        cv2.rectangle(goods, (3, 3), (width - 3, 6), (235, 230, 200), -1)
    return goods


def draw_letters(
    image: np.ndarray,
    rng: np.random.Generator,
    box: tuple[int, int, int, int],
    ink: tuple[int, int, int],
) -> None:
    """Scribble something that looks like writing from afar."""
    left, top, right, bottom = box
    if bottom - top < 4:
        return
    x = left
    while x < right:
        w = int(rng.integers(4, 10))
        high = top if rng.random() < 0.4 else top + (bottom - top) // 3
        if rng.random() < 0.5:
            cv2.rectangle(image, (x, high), (x + w - 2, bottom), ink, 2)
        else:
            cv2.line(image, (x, bottom), (x + w - 2, high), ink, 2)
            cv2.line(image, (x, high), (x, bottom), ink, 2)
        x += w + (8 if rng.random() < 0.15 else 2)


def _draw_trim(image: np.ndarray, rng: np.random.Generator, kind: str) -> None:
    """Draw gutter, downpipe and edges."""
    height, width = image.shape[:2]
    edge = (70, 68, 68) if kind != "office" else (180, 178, 172)
    cv2.rectangle(image, (0, 0), (width, 5), edge, -1)
    image[6:14] *= 0.72
    if rng.random() < 0.7:
        x = 3 if rng.random() < 0.5 else width - 6
        cv2.rectangle(image, (x, 4), (x + 2, height), (48, 46, 46), -1)
    image[:, -2:] *= 0.75
    image[-8:] *= 0.7
