"""Light and sky of a scene, and the tone curve from buffer to picture."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from proxia_segmentation_ros.data.synthetic.textures import SURFACE_MAX, make_noise

SKY_LOW = 0.4
KINDS = ("noon", "overcast", "dusk", "low sun")
_SHARES = (0.3, 0.25, 0.28, 0.17)


@dataclass(frozen=True)
class Weather:
    """Gains of surfaces by where they face, the tone curve and the sky's colours."""

    kind: str
    left_gain: float
    right_gain: float
    facing_gain: float
    sun_side: int
    shadow: float
    lamps_on: bool
    tone_256C: np.ndarray
    sky_top: tuple[float, float, float]
    sky_low: tuple[float, float, float]
    cloud: tuple[float, float, float]
    cloud_cover: float
    cloud_offset: tuple[int, int]

    def measure_gain(self, lateral_m: float) -> float:
        """Return the gain of a surface beside the road that faces the road."""
        return self.left_gain if lateral_m < 0 else self.right_gain


def draw_weather(rng: np.random.Generator, kind: str | None = None) -> Weather:
    """Draw the weather of a scene."""
    kind = kind or str(rng.choice(KINDS, p=_SHARES))
    sun_side = int(rng.choice((-1, 1)))
    gains = _draw_gains(rng, kind)
    left, right = gains[:2] if sun_side > 0 else gains[1::-1]
    top, low, cloud, cover = _draw_sky(rng, kind)
    return Weather(
        kind=kind,
        left_gain=left,
        right_gain=right,
        facing_gain=gains[2],
        sun_side=sun_side,
        shadow={"noon": 0.5, "low sun": 0.42}.get(kind, 1.0) + float(rng.uniform(0, 0.12)),
        lamps_on=kind == "dusk",
        tone_256C=_build_tone(rng, kind),
        sky_top=top,
        sky_low=low,
        cloud=cloud,
        cloud_cover=cover,
        cloud_offset=(int(rng.integers(1024)), int(rng.integers(1024))),
    )


def _draw_gains(rng: np.random.Generator, kind: str) -> tuple[float, float, float]:
    """Return gains of the sunny side, the shady side and surfaces facing the camera."""
    facing = float(rng.uniform(0.55, 1.0))
    if kind == "noon":
        return float(rng.uniform(1.05, 1.3)), float(rng.uniform(0.5, 0.75)), facing
    if kind == "low sun":
        return float(rng.uniform(1.1, 1.35)), float(rng.uniform(0.4, 0.6)), facing * 0.9
    flat = float(rng.uniform(0.75, 0.95))
    return flat, flat * float(rng.uniform(0.9, 1)), flat * 0.95


def _draw_sky(
    rng: np.random.Generator, kind: str
) -> tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float], float]:
    """Return the sky's colours high up and low down, the clouds' colour and their cover."""
    light = float(rng.uniform(0.88, 1.0))
    if kind == "noon":
        blue = float(rng.uniform(0, 1))
        top = (0.62 + 0.36 * blue, 0.82 + 0.16 * blue, 1.0)
        return top, (0.93, 0.98, 1.0), (1.0, 1.0, 1.0), float(rng.uniform(-1.2, 0.8))
    if kind == "overcast":
        return (
            (light * 0.93, light * 0.96, light * 0.97),
            (light, light, light),
            (light * 0.82, light * 0.85, light * 0.87),
            float(rng.uniform(-0.5, 1.0)),
        )
    if kind == "dusk":
        dark = float(rng.uniform(0.45, 0.75))
        warm = float(rng.uniform(0, 0.18)) * (rng.random() < 0.6)
        top = (dark * 0.93, dark * 1.0, dark * 1.06)
        low = (min(dark + 0.2 + warm, 1.0), dark + 0.18 + warm * 0.4, dark + 0.14 - warm * 0.5)
        return top, low, (dark * 0.8, dark * 0.84, dark * 0.87), float(rng.uniform(-0.3, 0.9))
    top = (0.72, 0.86, 0.97)
    return top, (1.0, 0.98, 0.93), (1.0, 0.97, 0.93), float(rng.uniform(-1.2, 0.3))


def _build_tone(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Return the look-up table (256, 3) from buffer to picture."""
    low, high = {
        "noon": (0.62, 1.05),
        "overcast": (0.5, 0.9),
        "dusk": (0.2, 0.5),
        "low sun": (0.5, 0.95),
    }[kind]
    exposure = float(rng.uniform(low, high))
    surface = np.arange(SURFACE_MAX + 1) / SURFACE_MAX
    curve = (surface * exposure) ** float(rng.uniform(0.9, 1.3))
    contrast = float(rng.uniform(0, 0.6))
    curve = curve * (1 - contrast) + contrast * curve**2 * (3 - 2 * np.minimum(curve, 1))
    tint = 1 + rng.uniform(-0.05, 0.05, 3)
    if kind == "low sun":
        tint = tint * (1.06, 1.0, 0.92)
    if kind == "dusk":
        tint = tint * (0.97, 1.0, 1.05)
    tone = np.empty((256, 3))
    floor = float(rng.uniform(0.0, 0.05))
    tone[: SURFACE_MAX + 1] = floor + (1 - floor) * curve[:, None] * tint
    sky = np.linspace(SKY_LOW, 1.0, 256 - SURFACE_MAX)[1:]
    tone[SURFACE_MAX + 1 :] = sky[:, None] * (1 + (tint - 1) * 0.5)
    rounded: np.ndarray = np.rint(np.clip(tone, 0, 1) * 255).astype(np.uint8)
    return rounded


def encode_light(colour: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the buffer value of sky or a lamp whose picture colour is 0..1."""
    low, span = SURFACE_MAX + 1, 254 - SURFACE_MAX
    red, green, blue = (
        low + span * min(max((c - SKY_LOW) / (1 - SKY_LOW), 0.0), 1.0) for c in colour
    )
    return (red, green, blue)


@lru_cache(maxsize=1)
def share_clouds() -> np.ndarray:
    """Return the tile of cloud noise, 1024 x 1024."""
    return make_noise(np.random.default_rng(19), (1024, 1024), 1.55)


def paint_sky(weather: Weather, size_hw: tuple[int, int]) -> np.ndarray:
    """Return the whole sky as a buffer image; its last row lies on the horizon."""
    height, width = size_hw
    share = np.linspace(0, 1, 64)[:, None]
    rows = np.round((share * 63)).astype(int)[:, 0]
    columns = np.linspace(0, 120 * max(1.0, width / height / 2), 160).astype(int)
    perspective = (140 / (1.15 - share[:, 0])).astype(int)
    tile = share_clouds()
    top, left = weather.cloud_offset
    noise = tile[
        (perspective[:, None] + top) % 1024,
        ((columns[None] - 60) * (1.4 / (1.15 - share * 0.8)) + left).astype(int) % 1024,
    ]
    cover = np.clip((noise + weather.cloud_cover) * 0.9, 0, 1)[..., None]
    cover *= (1 - 0.5 * share)[..., None]
    sky = np.array(weather.sky_top) * (1 - share[..., None]) + share[..., None] * np.array(
        weather.sky_low
    )
    shade = (1 + 0.05 * noise)[..., None]
    sky = np.broadcast_to(sky, (len(rows), len(columns), 3)) * (1 - cover)
    sky = (sky + cover * np.array(weather.cloud)) * shade
    code = (np.clip(sky, SKY_LOW, 1) - SKY_LOW) / (1 - SKY_LOW) * (254 - SURFACE_MAX)
    coded = (code + SURFACE_MAX + 1).astype(np.float32)
    large = cv2.resize(coded, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(large, SURFACE_MAX + 1, 255).astype(np.uint8)
