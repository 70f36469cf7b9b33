"""Noise, materials with levels of detail, and cut-out sprites."""

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np


@dataclass(frozen=True)
class Texture:
    """An image at several sizes, each half of the one before; RGB or RGB + alpha."""

    levels: tuple[np.ndarray, ...]
    px_per_m: float

    def pick_level(self, wanted_px_per_m: float) -> int:
        """Return the level that needs the least scaling."""
        ratio = self.px_per_m / max(wanted_px_per_m, 1e-6)
        return min(max(round(math.log2(max(ratio, 1e-6)) - 0.25), 0), len(self.levels) - 1)


@dataclass(frozen=True)
class Sprite:
    """A cut-out: RGB + alpha."""

    colour: Texture
    size_m: tuple[float, float]


def build_texture(image_HWC: np.ndarray, px_per_m: float) -> Texture:
    """Return a texture with all its smaller levels; the image has values 0..255."""
    levels = [np.clip(image_HWC, 0, 255).astype(np.uint8)]
    while min(levels[-1].shape[:2]) > 8:
        height, width = levels[-1].shape[:2]
        levels.append(
            cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        )
    return Texture(tuple(levels), px_per_m)


def build_sprite(colour_HWC: np.ndarray, alpha_HW: np.ndarray, px_per_m: float) -> Sprite:
    """Return a sprite; alpha in 0..1."""
    rgba = np.concatenate([colour_HWC, alpha_HW[..., None] * 255], axis=2)
    height, width = alpha_HW.shape
    return Sprite(
        build_texture(rgba, px_per_m),
        (width / px_per_m, height / px_per_m),
    )


def make_noise(rng: np.random.Generator, size_hw: tuple[int, int], slope: float) -> np.ndarray:
    """Return tileable noise of mean 0 and deviation 1 whose amplitude falls as frequency^-slope."""
    height, width = size_hw
    rows = np.fft.fftfreq(height)[:, None] * height
    columns = np.fft.rfftfreq(width)[None, :] * width
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal(size_hw)) * frequency**-slope
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, s=size_hw)
    scaled: np.ndarray = (noise / noise.std()).astype(np.float32)
    return scaled


@lru_cache(maxsize=16)
def share_noise(index: int, side: int, slope: float) -> np.ndarray:
    """Return one of the noise tiles that all materials share."""
    return make_noise(np.random.default_rng((11, index)), (side, side), slope)


def cut_noise(rng: np.random.Generator, size_hw: tuple[int, int], slope: float) -> np.ndarray:
    """Return a random window of a shared noise tile, repeated where it is too small."""
    tile = share_noise(int(rng.integers(2)), 512, slope)
    top, left = (int(n) for n in rng.integers(0, 512, 2))
    rows = (np.arange(size_hw[0]) + top) % 512
    columns = (np.arange(size_hw[1]) + left) % 512
    return tile[np.ix_(rows, columns)]


def make_ground_tiles(kind: str) -> tuple[np.ndarray, ...]:
    """Return levels of a grey ground material, 128 = no change; 1024 px cover 32 m."""
    rng = np.random.default_rng((13, len(kind)))
    coarse = make_noise(rng, (1024, 1024), 1.3)
    fine = make_noise(rng, (1024, 1024), 0.35)
    if kind == "asphalt":
        tile = 128 + 7 * coarse + 11 * fine
        lateral = (np.arange(1024) - 512) / 32.0
        wheels = np.array((-2.5, -0.9, 0.9, 2.5))[:, None]
        tracks = np.exp(-(((lateral - wheels) / 0.35) ** 2)).sum(axis=0)
        tile -= 6 * tracks * (1 + 0.5 * coarse)
        for _ in range(26):
            draw_patch(tile, rng)
    elif kind == "slabs":
        tile = 128 + 5 * coarse + 8 * fine + draw_slabs(rng)
    else:
        tile = 128 + 16 * coarse + 22 * make_noise(rng, (1024, 1024), 0.6)
    levels = [np.clip(tile, 20, 250).astype(np.uint8)]
    for _ in range(5):
        side = levels[-1].shape[0] // 2
        levels.append(cv2.resize(levels[-1], (side, side), interpolation=cv2.INTER_AREA))
    return tuple(levels)


def draw_patch(tile: np.ndarray, rng: np.random.Generator) -> None:
    """Darken a repaired piece of road or a cover in it."""
    top, left = (int(n) for n in rng.integers(0, 940, 2))
    height, width = (int(n) for n in rng.integers((20, 12), (300, 80)))
    if rng.random() < 0.4:
        height, width = 20, 20
    window = tile[top : top + height, left : left + width]
    window += rng.uniform(-24, 10)
    cv2.rectangle(tile, (left, top), (left + width, top + height), float(rng.uniform(80, 105)), 1)


def draw_slabs(rng: np.random.Generator) -> np.ndarray:
    """Return joints and tones of paving slabs of 0.5 x 0.75 m."""
    tones = rng.standard_normal((1024 // 24 + 1, 64)).astype(np.float32) * 7
    slabs = np.repeat(np.repeat(tones, 24, axis=0)[:1024], 16, axis=1)
    slabs[::24] -= 26
    slabs[:, ::16] -= 22
    return slabs


@lru_cache(maxsize=4)
def share_ground_tiles(kind: str) -> tuple[np.ndarray, ...]:
    """Return `make_ground_tiles(kind)`, made once per process."""
    return make_ground_tiles(kind)
