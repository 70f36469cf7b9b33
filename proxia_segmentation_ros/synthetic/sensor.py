"""The simulated image sensor: blur, colour resolution and noise."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from proxia_segmentation_ros.synthetic.drawing.textures import make_noise


@dataclass(frozen=True)
class Sensor:
    """Blur and sharpening in pixels of a 480 px wide image, noise in grey levels."""

    blur_px: float
    sharpening: float
    motion_px: int
    noise: float
    saturation: float
    chroma_blur: bool


def draw_sensor(rng: np.random.Generator, is_dark: bool) -> Sensor:
    """Draw the camera of a scene."""
    return Sensor(
        blur_px=float(rng.choice((0.4, 0.5, 0.65, 0.9), p=(0.35, 0.35, 0.2, 0.1))),
        sharpening=float(rng.choice((0.0, 0.5), p=(0.6, 0.4))),
        motion_px=int(rng.choice((0, 2, 3), p=(0.85, 0.1, 0.05))),
        noise=float(rng.uniform(0.5, 3.0) + (1.5 if is_dark else 0)),
        saturation=float(rng.uniform(0.75, 1.15)),
        chroma_blur=bool(rng.random() < 0.4),
    )


def expose(image_HWC: np.ndarray, sensor: Sensor, rng: np.random.Generator) -> np.ndarray:
    """Return the camera's picture of a perfectly sharp image."""
    unit = max(image_HWC.shape[1] / 480, 0.3)
    picture = cv2.GaussianBlur(image_HWC, (0, 0), sensor.blur_px * unit)
    if sensor.motion_px:
        picture = cv2.blur(picture, (max(1, round(sensor.motion_px * unit)), 1))
    if sensor.sharpening:
        soft = cv2.GaussianBlur(picture, (0, 0), 1.2 * unit)
        picture = cv2.addWeighted(picture, 1 + sensor.sharpening, soft, -sensor.sharpening, 0)
    picture = _saturate(picture, sensor.saturation)
    if sensor.chroma_blur:
        picture = _soften_chroma(picture)
    return _add_noise(picture, sensor.noise, rng)


def _soften_chroma(picture: np.ndarray) -> np.ndarray:
    """Keep colour at half the resolution, as JPEG and most video do."""
    height, width = picture.shape[:2]
    luma, *chroma = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb))
    half = (max(width // 2, 1), max(height // 2, 1))
    blurred = [
        cv2.resize(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), (width, height))
        for plane in chroma
    ]
    return cv2.cvtColor(cv2.merge([luma, *blurred]), cv2.COLOR_YCrCb2RGB)


def _saturate(picture: np.ndarray, saturation: float) -> np.ndarray:
    """Scale the distance of each colour from grey."""
    weights = np.array((0.3, 0.59, 0.11))
    matrix = np.eye(3) * saturation + np.ones((3, 1)) * weights * (1 - saturation)
    return cv2.transform(picture, matrix)


@lru_cache(maxsize=1)
def _share_grain() -> np.ndarray:
    """Return a tile of sensor noise, 512 x 512 x 3, 128 = none, deviation 32."""
    rng = np.random.default_rng(73)
    grey = make_noise(rng, (768, 768), 0.25)[..., None]
    colour = np.stack([make_noise(rng, (768, 768), 0.5) for _ in range(3)], axis=2)
    mixed = 128 + 32 * (0.85 * grey + 0.5 * colour)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _add_noise(picture: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Add a random window of the noise tile."""
    height, width = picture.shape[:2]
    grain = _share_grain()
    if height > 500 or width > 500:
        grain = np.tile(grain, (-(-height // 500), -(-width // 500), 1))
    top = int(rng.integers(grain.shape[0] - height + 1))
    left = int(rng.integers(grain.shape[1] - width + 1))
    window = grain[top : top + height, left : left + width]
    share = noise / 32
    return cv2.addWeighted(picture, 1.0, window, share, -128 * share)
