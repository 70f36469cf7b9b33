"""The tone curve of a scene: from the light of a surface to its brightness in the picture.

Surfaces have values 0..255 = reflectance times light; more than 255 is brighter than white
paper in the shade. Sky and lamps have picture values of their own, which no exposure changes.
"""

import numpy as np

Colour = tuple[float, float, float]
# Colours from here on are lamps: this plus the picture value.
LAMP = 1024.0
_DOMAIN = 768


class Tone:
    """Maps surface values to picture values, by table for images and by list for colours."""

    def __init__(self, curve_NC: np.ndarray) -> None:
        self._curve_NC = curve_NC
        self._lists: list[list[float]] = [curve_NC[:, c].tolist() for c in range(3)]
        self._tables: dict[tuple[int, int], np.ndarray] = {}

    @classmethod
    def from_exposure(
        cls, exposure: float, gamma: float, contrast: float, floor: float, tint_C: np.ndarray
    ) -> "Tone":
        """Return a tone curve; contrast 0..1 bends it, floor 0..1 is what black comes out as."""
        light = (np.arange(_DOMAIN) / 255 * exposure) ** gamma
        bent = np.minimum(light, 1) ** 2 * (3 - 2 * np.minimum(light, 1))
        curve = light * (1 - contrast) + contrast * bent
        shown = floor + (1 - floor) * curve[:, None] * tint_C
        # A soft shoulder instead of a hard clip keeps some colour in bright walls.
        shown = np.where(shown > 0.8, 1 - 0.2 * np.exp(-(shown - 0.8) / 0.2), shown)
        return cls(np.clip(shown, 0, 1) * 255)

    def map_colour(self, colour: Colour) -> Colour:
        """Return the picture value of a colour."""
        red, green, blue = colour
        if red >= LAMP:
            return (red - LAMP, green - LAMP, blue - LAMP)
        reds, greens, blues = self._lists
        top = _DOMAIN - 1
        return (
            reds[min(int(red), top)],
            greens[min(int(green), top)],
            blues[min(int(blue), top)],
        )

    def share_table(self, gain: float, haze: float) -> np.ndarray:
        """Return the look-up table (1, 256, 3) for surfaces under a gain and behind haze."""
        key = (round(gain * 50), round(haze * 50))
        table = self._tables.get(key)
        if table is None:
            light = np.arange(256) * (key[0] / 50 * (1 - key[1] / 50)) + key[1] / 50 * 140
            rows = np.minimum(light, _DOMAIN - 1).astype(int)
            table = np.rint(self._curve_NC[rows]).astype(np.uint8)[None]
            self._tables[key] = table
        return table


def light_lamp(red: float, green: float, blue: float) -> Colour:
    """Return the colour of a lamp from picture values 0..1."""
    return (LAMP + 255 * red, LAMP + 255 * green, LAMP + 255 * blue)


def scale(rgb: Colour, gain: float) -> Colour:
    """Return a colour in the given light."""
    red, green, blue = rgb
    return (red * gain, green * gain, blue * gain)


# Leaves values up to 255 as they are: for the ground, whose grain comes before the tone curve.
PLAIN = Tone(np.minimum(np.arange(_DOMAIN), 255.0)[:, None].repeat(3, axis=1))
