"""Pedestrians and cyclists, drawn as jointed figures that face the camera."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from proxia_segmentation_ros.synthetic.stage import View
from proxia_segmentation_ros.synthetic.things.figures import RGB, Figure

PEDESTRIAN, BICYCLIST = 9, 10
_COATS = (
    (190, 36, 40), (36, 84, 170), (214, 168, 40), (206, 96, 36), (196, 190, 178), (150, 44, 110),
    (30, 120, 120), (60, 44, 110), (92, 30, 36), (34, 38, 48),
)  # fmt: skip
_TROUSERS = ((34, 38, 54), (26, 26, 28), (58, 62, 76), (84, 76, 62), (44, 50, 80))
_SKINS = ((198, 156, 132), (214, 176, 150), (140, 100, 78), (92, 64, 50))
_HAIRS = ((36, 28, 22), (70, 50, 34), (120, 96, 60), (130, 128, 124), (22, 20, 20))
_VESTS = (
    (200, 226, 40), (236, 116, 30), (200, 226, 40), (226, 226, 220), (50, 140, 210), (214, 50, 80),
)  # fmt: skip
_HELMETS = ((224, 224, 220), (200, 40, 40), (40, 90, 190), (230, 200, 60))


@dataclass(frozen=True)
class Looks:
    """Clothing and build of a person."""

    coat: RGB
    trousers: RGB
    skin: RGB
    hair: RGB
    height_m: float
    coat_end: float
    bag: RGB | None
    vest: RGB
    helmet: RGB


def draw_looks(rng: np.random.Generator) -> Looks:
    """Draw the looks of a person."""

    def pick(palette: tuple[RGB, ...]) -> RGB:
        red, green, blue = np.array(palette[int(rng.integers(len(palette)))]) * rng.uniform(
            0.85, 1.1
        )
        return (float(red), float(green), float(blue))

    return Looks(
        pick(_COATS),
        pick(_TROUSERS),
        pick(_SKINS),
        pick(_HAIRS),
        float(rng.uniform(1.55, 1.9)) if rng.random() < 0.92 else float(rng.uniform(1.1, 1.4)),
        float(rng.uniform(0.36, 0.52)),
        pick(_COATS) if rng.random() < 0.35 else None,
        pick(_VESTS),
        pick(_HELMETS),
    )


@dataclass(frozen=True)
class Person(ABC):
    """Somebody on the street; `stride` is the phase of steps or pedals."""

    looks: Looks
    lateral_m: float
    along_m: float
    stride: float

    coarsest_m = 0.55 / 16.0  # 0.55 m, across the shoulders, fill 16 pixels
    rim_m = 0.0
    label: ClassVar[int]

    @property
    def far_m(self) -> float:
        """Return the distance by which things are sorted."""
        return self.along_m

    @cached_property
    def _figure(self) -> Figure:
        """Return the jointed figure."""
        figure = Figure()
        self.pose(figure)
        return figure

    @property
    def points_N3(self) -> np.ndarray:
        """Return the points of the figure."""
        return self._figure.place(self.lateral_m, self.along_m)

    @abstractmethod
    def pose(self, figure: Figure) -> None:
        """Set up the figure."""

    def draw(self, view: View) -> None:
        """Paint the person, unless the camera is about to pass through."""
        if self.along_m - view.camera.along_m < 1.5:
            return
        weather = view.weather
        gain = 0.5 * (weather.facing_gain + weather.measure_gain(self.lateral_m))
        px_per_m = view.camera.measure_scale(self.along_m)
        self._figure.paint(view, max(gain, 0.85), self.label, px_per_m)


@dataclass(frozen=True)
class Pedestrian(Person):
    """A person on foot; `side` is how far seen from the side."""

    side: float

    label = PEDESTRIAN

    def pose(self, figure: Figure) -> None:
        """Set up somebody who walks."""
        _pose_walker(figure, self.looks, self.stride, self.side)


@dataclass(frozen=True)
class Bicyclist(Person):
    """A rider on a bicycle: seen along the road, or crossing to the right (1) or left (-1)."""

    crossing: int

    coarsest_m = 0.6 / 14.0
    label = BICYCLIST

    def pose(self, figure: Figure) -> None:
        """Set up a rider and the bicycle."""
        if self.crossing:
            _pose_rider_from_side(figure, self.looks, self.stride, float(self.crossing))
        else:
            _pose_rider_along(figure, self.looks, self.stride)


def _pose_walker(figure: Figure, looks: Looks, stride: float, side: float) -> None:
    """Set up legs, arms, coat and head."""
    h = looks.height_m / 1.75
    swing = math.sin(stride)
    reach = 0.26 * side * swing
    for sign in (-1, 1):
        hip = (sign * 0.08 * (1 - 0.6 * side), 0.9 * h)
        lift = 0.07 * max(0.0, sign * swing) * (1 - 0.4 * side)
        foot = (sign * (0.09 * (1 - side) + reach), 0.04 + lift)
        knee = ((hip[0] + foot[0]) / 2 + 0.04 * side, 0.48 * h)
        lit = 1.0 if sign > 0 else 0.8
        figure.limb(hip, knee, (0.2 * h, 0.16 * h), looks.trousers, lit)
        figure.limb(knee, foot, (0.16 * h, 0.12 * h), looks.trousers, lit)
        toe = (foot[0] + 0.1 * side + 0.02, 0.0)
        figure.limb((foot[0] - 0.04, 0.03), toe, (0.09, 0.08), (30, 26, 24))
    wide = 0.23 - 0.07 * side
    low = 0.9 * h - 0.9 * (0.52 - looks.coat_end) * h
    hand = ((wide + 0.03) * h + reach, 0.86 * h)
    figure.limb((-wide * h, 1.36 * h), (-hand[0], hand[1]), (0.14 * h, 0.1 * h), looks.coat, 0.75)
    coat = [(-0.17, low), (-0.19, 1.0 * h), (-wide, 1.42 * h), (-0.08, 1.5 * h)]
    coat += [(0.08, 1.5 * h), (wide, 1.42 * h), (0.19, 1.0 * h), (0.17, low)]
    figure.add([(x * h, y) for x, y in coat], looks.coat)
    figure.add([(0.02, low), (0.02, 1.46 * h), (wide * h, 1.4 * h), (0.17 * h, low)],
               looks.coat, 1.18, is_detail=True)  # fmt: skip
    figure.limb((wide * h, 1.36 * h), hand, (0.14 * h, 0.1 * h), looks.coat, 1.1)
    if looks.bag is not None:
        figure.add([(0.16, 0.7 * h), (0.16, h), (0.36, h), (0.36, 0.7 * h)], looks.bag)
    figure.disc((0.0, 1.63 * h), (0.095 * h, 0.125 * h), looks.skin)
    figure.disc((-0.01, 1.68 * h), (0.1 * h, 0.09 * h), looks.hair, is_detail=True)


def _pose_rider_along(figure: Figure, looks: Looks, stride: float) -> None:
    """Set up a rider seen from behind or ahead."""
    top = looks.vest
    figure.disc((0.0, 0.34), (0.09, 0.34), (22, 22, 24))
    figure.limb((0.0, 0.4), (0.0, 0.92), (0.16, 0.2), (40, 42, 48))
    figure.disc((0.0, 0.72), (0.05, 0.04), (150, 20, 18))
    figure.limb((-0.27, 1.02), (0.27, 1.02), (0.08, 0.08), (40, 40, 42))
    for sign in (-1, 1):
        lift = 0.17 * math.sin(stride) * sign
        knee, foot = (sign * 0.2, 0.68 + lift), (sign * 0.16, 0.26 + lift)
        lit = 1.0 if sign > 0 else 0.8
        figure.limb((sign * 0.11, 0.96), knee, (0.17, 0.14), looks.trousers, lit)
        figure.limb(knee, foot, (0.13, 0.08), looks.trousers, lit)
        figure.limb((foot[0], foot[1]), (foot[0] + 0.02, foot[1] - 0.07), (0.1, 0.1), (28, 26, 26))
        figure.limb((sign * 0.2, 1.42), (sign * 0.28, 1.04), (0.12, 0.08), top, 0.85)
    figure.disc((0.0, 0.95), (0.17, 0.12), looks.trousers)
    body = [(-0.16, 0.92), (-0.21, 1.4), (-0.08, 1.5), (0.08, 1.5), (0.21, 1.4), (0.16, 0.92)]
    figure.add(body, top)
    figure.add([(0.02, 0.92), (0.02, 1.49), (0.21, 1.4), (0.16, 0.92)], top, 1.15, is_detail=True)
    figure.disc((0.0, 1.6), (0.09, 0.115), looks.skin)
    figure.disc((0.0, 1.66), (0.125, 0.1), looks.helmet)


def _pose_rider_from_side(figure: Figure, looks: Looks, stride: float, m: float) -> None:
    """Set up a rider who crosses the picture; `m` is -1 for one who rides to the left."""
    top = looks.vest
    for centre in (-0.52, 0.52):
        figure.disc((m * centre, 0.34), (0.34, 0.34), (24, 24, 26))
        figure.disc((m * centre, 0.34), (0.28, 0.28), (96, 96, 98))
    crank, saddle, bar = (m * -0.06, 0.3), (m * -0.2, 0.92), (m * 0.4, 1.02)
    for start, end in ((crank, saddle), (crank, (m * 0.38, 0.8)), (saddle, (m * 0.38, 0.8)),
                       ((m * -0.52, 0.34), crank), ((m * 0.52, 0.34), bar)):  # fmt: skip
        figure.limb(start, end, (0.07, 0.07), (170, 40, 44))
    for sign in (-1, 1):
        foot = (crank[0] + m * 0.16 * math.cos(stride) * sign,
                crank[1] - 0.02 + 0.16 * math.sin(stride) * sign)  # fmt: skip
        knee = ((saddle[0] + foot[0]) / 2 + m * 0.17, (saddle[1] + foot[1]) / 2 + 0.06)
        lit = 1.0 if sign > 0 else 0.75
        figure.limb(saddle, knee, (0.2, 0.15), looks.trousers, lit)
        figure.limb(knee, foot, (0.14, 0.09), looks.trousers, lit)
    shoulder = (m * 0.16, 1.45)
    figure.limb((saddle[0], 0.9), shoulder, (0.26, 0.28), top)
    figure.limb(shoulder, bar, (0.12, 0.08), top, 0.8)
    figure.disc((m * 0.26, 1.62), (0.1, 0.12), looks.skin)
    figure.disc((m * 0.23, 1.68), (0.14, 0.1), looks.helmet)
