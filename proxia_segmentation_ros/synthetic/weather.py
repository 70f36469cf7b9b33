"""Light and sky of a scene."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from proxia_segmentation_ros.synthetic.drawing.textures import make_noise
from proxia_segmentation_ros.synthetic.tone import Tone

KINDS = ("noon", "overcast", "dusk", "low sun")
_SHARES = (0.35, 0.3, 0.17, 0.18)


@dataclass(frozen=True, eq=False)
class Weather:
    """Gains of surfaces by where they face, the tone curve and the sky's colours."""

    kind: str
    left_gain: float
    right_gain: float
    facing_gain: float
    sun_side: int
    shadow: float
    lamps_on: bool
    tone: Tone
    sky_top: tuple[float, float, float]
    sky_low: tuple[float, float, float]
    cloud: tuple[float, float, float]
    cloud_cover: float
    cloud_offset: tuple[int, int]

    @property
    def cast_side(self) -> int:
        """Return 1 or -1 where shadows fall to the left or right, 0 where none fall."""
        return self.sun_side if self.shadow < 0.9 else 0

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
        tone=_draw_tone(rng, kind),
        sky_top=top,
        sky_low=low,
        cloud=cloud,
        cloud_cover=cover,
        cloud_offset=(int(rng.integers(1024)), int(rng.integers(1024))),
    )


def _draw_gains(rng: np.random.Generator, kind: str) -> tuple[float, float, float]:
    """Return gains of the sunny side, the shady side and surfaces facing the camera."""
    facing = float(rng.uniform(0.5, 1.05))
    if kind == "noon":
        return float(rng.uniform(1.1, 1.4)), float(rng.uniform(0.4, 0.68)), facing
    if kind == "low sun":
        return float(rng.uniform(1.15, 1.5)), float(rng.uniform(0.34, 0.55)), facing * 0.9
    flat = float(rng.uniform(0.75, 0.95))
    return flat, flat * float(rng.uniform(0.9, 1)), flat * 0.95


def _draw_sky(
    rng: np.random.Generator, kind: str
) -> tuple[
    tuple[float, float, float], tuple[float, float, float], tuple[float, float, float], float
]:
    """Return the sky's colours high up and low down, the clouds' colour and their cover."""
    light = float(rng.uniform(0.88, 1.0))
    if kind == "noon":
        pale = float(rng.uniform(0, 1))
        top = (0.68 + 0.32 * pale, 0.85 + 0.15 * pale, 1.0)
        return top, (0.93, 0.98, 1.0), (1.0, 1.0, 1.0), float(rng.uniform(-1.2, 0.8))
    if kind == "overcast":
        return (
            (light * 0.93, light * 0.96, light * 0.97),
            (light, light, light),
            (light * 0.82, light * 0.85, light * 0.87),
            float(rng.uniform(-0.5, 1.0)),
        )
    if kind == "dusk":
        dark = float(rng.uniform(0.5, 0.82))
        warm = float(rng.uniform(0, 0.18)) * (rng.random() < 0.6)
        top = (dark * 0.93, dark * 1.0, dark * 1.06)
        low = (min(dark + 0.2 + warm, 1.0), dark + 0.18 + warm * 0.4, dark + 0.14 - warm * 0.5)
        return top, low, (dark * 0.8, dark * 0.84, dark * 0.87), float(rng.uniform(-0.3, 0.9))
    top = (0.72, 0.86, 0.97)
    return top, (1.0, 0.98, 0.93), (1.0, 0.97, 0.93), float(rng.uniform(-1.2, 0.3))


def _draw_tone(rng: np.random.Generator, kind: str) -> Tone:
    """Draw exposure, contrast and white balance."""
    low, high = {
        "noon": (1.0, 1.7),
        "overcast": (0.9, 1.5),
        "dusk": (0.56, 0.95),
        "low sun": (0.85, 1.6),
    }[kind]
    tint_C = 1 + rng.uniform(-0.05, 0.05, 3)
    if kind == "low sun":
        tint_C *= (1.06, 1.0, 0.92)
    if kind == "dusk":
        tint_C *= (0.97, 1.0, 1.05)
    return Tone.from_exposure(
        float(rng.uniform(low, high)),
        float(rng.uniform(0.95, 1.3)),
        float(rng.uniform(0, 0.3 if kind == "dusk" else 0.6)),
        float(rng.uniform(0.0, 0.05)),
        tint_C,
    )


@lru_cache(maxsize=1)
def share_clouds() -> np.ndarray:
    """Return the tile of cloud noise, 1024 x 1024."""
    return make_noise(np.random.default_rng(19), (1024, 1024), 1.55)


def paint_sky(weather: Weather, size_hw: tuple[int, int]) -> np.ndarray:
    """Return the whole sky as a picture."""
    height, width = size_hw
    share = np.linspace(0, 1, 64)[:, None]
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
    sky = np.broadcast_to(sky, (64, len(columns), 3)) * (1 - cover)
    sky = (sky + cover * np.array(weather.cloud)) * shade
    large = cv2.resize(
        (sky * 255).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    painted: np.ndarray = np.clip(large, 0, 255).astype(np.uint8)
    return painted
