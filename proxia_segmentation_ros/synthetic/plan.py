"""The plan of a street, constant along it: cross-section, colours and districts."""

from dataclasses import dataclass

import numpy as np

from proxia_segmentation_ros.synthetic.things.ground import PAVEMENT, VERGE
from proxia_segmentation_ros.synthetic.tone import Colour, scale

_BUILT = ("shops", "shops", "terrace", "terrace", "offices", "houses")
_FENCED = ("houses", "houses", "park")


@dataclass(frozen=True)
class StreetPlan:
    """What stays the same along a street."""

    seed: int
    lane_m: float
    parking_m: tuple[float, float]
    pavement_m: tuple[float, float]
    base_rgb: Colour
    base_label: int
    road_rgb: Colour
    pavement_rgb: Colour
    marking_rgb: Colour
    has_yellow_lines: bool
    shadow_side: int
    districts: tuple[tuple[str, str], ...]

    def find_edge(self, side: int) -> float:
        """Return where the road ends on the left (-1) or right (1)."""
        return side * (self.lane_m + self.parking_m[(side + 1) // 2])

    def find_back(self, side: int) -> float:
        """Return where the pavement ends."""
        return self.find_edge(side) + side * self.pavement_m[(side + 1) // 2]


def draw_plan(rng: np.random.Generator, seed: int, shadow_side: int) -> StreetPlan:
    """Draw what stays the same along a street.

    The road is a dark cool grey, pavements are light and warm, so that they differ in any light.
    """
    is_green = bool(rng.random() < 0.5)
    grass = np.array((74, 104, 44)) * rng.uniform(0.8, 1.1)
    road = rng.uniform(64, 90) * np.array((0.98, 1, 1.05)) * rng.uniform(0.98, 1.02, 3)
    warm = np.array(((1.06, 0.99, 0.86), (1.12, 0.94, 0.82), (1.08, 1.0, 0.8))[rng.integers(3)])
    paving = rng.uniform(128, 164) * warm * rng.uniform(0.98, 1.02, 3)
    return StreetPlan(
        seed=seed,
        lane_m=float(rng.uniform(2.9, 3.6)),
        # No parked cars on the camera's side, because they would hide the pavement.
        parking_m=(0.0, float(rng.choice((0.0, 2.0), p=(0.6, 0.4)))),
        pavement_m=(float(rng.uniform(2.2, 3.6)), float(rng.uniform(2.4, 3.8))),
        base_rgb=_as_colour(grass if is_green else paving * 0.95),
        base_label=VERGE if is_green else PAVEMENT,
        road_rgb=_as_colour(road),
        pavement_rgb=_as_colour(paving),
        marking_rgb=scale((208, 208, 202), float(rng.uniform(0.8, 1.1))),
        has_yellow_lines=bool(rng.random() < 0.35),
        shadow_side=shadow_side,
        districts=tuple(_draw_district(rng) for _ in range(5)),
    )


def _as_colour(rgb: np.ndarray) -> Colour:
    """Return an array of three as a colour."""
    red, green, blue = rgb.tolist()
    return (red, green, blue)


def _draw_district(rng: np.random.Generator) -> tuple[str, str]:
    """Draw what stands on the left and the right; one of the two usually has a fence."""
    fenced, other = str(rng.choice(_FENCED)), str(rng.choice(_BUILT))
    return (fenced, other) if rng.random() < 0.65 else (other, fenced)
