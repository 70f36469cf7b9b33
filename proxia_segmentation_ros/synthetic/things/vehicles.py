"""Cars, vans, lorries and buses on the street."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from proxia_segmentation_ros.synthetic.drawing.solids import Solid, find_visible, share_vehicle
from proxia_segmentation_ros.synthetic.drawing.textures import make_noise
from proxia_segmentation_ros.synthetic.stage import View
from proxia_segmentation_ros.synthetic.tone import Colour, light_lamp, scale
from proxia_segmentation_ros.synthetic.weather import Weather

CAR = 8
_KINDS = ("hatch", "estate", "saloon", "jeep", "van", "lorry", "bus", "double")
_KIND_SHARES = (0.36, 0.17, 0.17, 0.1, 0.12, 0.03, 0.03, 0.02)
_PAINTS = (
    (24, 26, 30), (34, 40, 62), (150, 154, 158), (190, 194, 198), (224, 226, 226), (120, 18, 22),
    (24, 44, 96), (70, 78, 84), (20, 52, 40), (94, 98, 102), (160, 60, 30), (66, 92, 120),
)  # fmt: skip
_FIXED: dict[str, tuple[int, int, int]] = {
    "glass": (40, 46, 52),
    "mirror": (76, 86, 94),
    "trim": (44, 45, 47),
    "arch": (16, 16, 17),
    "tyre": (24, 24, 25),
    "rim": (128, 130, 132),
    "grille": (30, 30, 32),
    "yellow plate": (206, 176, 50),
    "white plate": (210, 210, 204),
    "rear lamp": (150, 20, 18),
    "headlamp": (196, 202, 206),
}
# Pixels per metre from which a detail is worth painting.
_DETAILS = {
    "rim": 14.0, "arch": 16.0, "white plate": 14.0, "grille": 14.0, "seam": 24.0,
    "mirror": 12.0, "trim": 10.0, "yellow plate": 9.0,
}  # fmt: skip


_SHEEN_PX_PER_M = 20.0
_SHEEN_COUNT = 6


@lru_cache(maxsize=_SHEEN_COUNT)
def share_sheen(index: int) -> np.ndarray:
    """Return what a car mirrors of its surroundings: 128 = nothing, lighter above."""
    rng = np.random.default_rng((97, index))
    rows = np.linspace(22, -26, 24)[:, None]
    blotches = 12 * make_noise(rng, (24, 32), 1.2)
    sheen: np.ndarray = np.clip(128 + rows + blotches, 60, 220).astype(np.uint8)
    return sheen


@dataclass(frozen=True)
class Vehicle:
    """One vehicle; `along_m` is its end that is nearer to the start of the street."""

    kind: str
    paint: tuple[float, float, float]
    lateral_m: float
    along_m: float
    faces_back: bool
    turn: float
    brakes: bool
    shadow_side: int

    least_px = 16.0
    rim_m = 0.0

    @property
    def coarsest_m(self) -> float:
        """Return the size of a pixel at which its width fills `least_px`."""
        return share_vehicle(self.kind).width_m / self.least_px

    @property
    def far_m(self) -> float:
        """Return the far end, by which things are sorted."""
        return self.along_m + share_vehicle(self.kind).length_m

    @cached_property
    def points_N3(self) -> np.ndarray:
        """Return two outlines of the shadow, then the vertices of the body."""
        solid = share_vehicle(self.kind)
        shadow = _list_shadow(self.lateral_m, solid.width_m, (self.along_m, self.far_m),
                              self.shadow_side)  # fmt: skip
        return np.concatenate([shadow, self._place_vertices(solid)])

    def _place_vertices(self, solid: Solid) -> np.ndarray:
        """Return vertices on the street, turned about the middle of the vehicle."""
        points_N3 = solid.vertices_N3.copy()
        points_N3[:, 2] -= solid.length_m / 2
        turn = self.turn + (np.pi if self.faces_back else 0.0)
        cosine, sine = float(np.cos(turn)), float(np.sin(turn))
        across, along = points_N3[:, 0].copy(), points_N3[:, 2].copy()
        points_N3[:, 0] = across * cosine + along * sine + self.lateral_m
        points_N3[:, 2] = along * cosine - across * sine + self.along_m + solid.length_m / 2
        return points_N3

    def draw(self, view: View) -> None:
        """Paint shadow and body."""
        solid = share_vehicle(self.kind)
        px_per_m = view.camera.measure_scale(self.along_m)
        if self.shadow_side:
            view.fill(0, 4, (52.0, 52.0, 54.0), None)
        view.fill(4, 8, (24.0, 24.0, 25.0), None)
        colours = mix_colours(self.kind, self.paint, self.brakes, self.faces_back, view.weather)
        clipped = view.is_near
        visible = find_visible(view.uv_N2[8:], solid) if not clipped else range(len(solid.faces))
        for number in visible:
            face = solid.faces[number]
            if px_per_m < _DETAILS.get(face.material, 0.0):
                continue
            first, last = face.first + 8, face.last + 8
            if clipped and not _is_turned_here(view.placed_N3[first:last]):
                continue
            view.fill(first, last, colours[number], CAR if face.is_body else None)
        if px_per_m > _SHEEN_PX_PER_M and not clipped:
            index = int(sum(self.paint) * 7) % _SHEEN_COUNT
            view.canvas.mottle(view.uv_N2[8:], share_sheen(index), CAR)


def _is_turned_here(placed_N3: np.ndarray) -> bool:
    """Tell whether a face is seen from its outside, also where it reaches behind the camera."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = placed_N3[:3].tolist()
    turn = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
    return bool(turn > 0)


@lru_cache(maxsize=1024)
def mix_colours(
    kind: str, paint: Colour, brakes: bool, faces_back: bool, weather: Weather
) -> tuple[Colour, ...]:
    """Return the colour of every face of a vehicle in the light of the scene."""
    colours: dict[str, Colour] = {name: scale(rgb, 1.0) for name, rgb in _FIXED.items()}
    colours["paint"] = scale(paint, 1.0)
    colours["seam"] = scale(paint, 0.55)
    if sum(paint) % 1 < 0.6:
        colours["trim"] = scale(paint, 0.8)
    if weather.lamps_on or brakes:
        colours["rear lamp"] = light_lamp(0.85, 0.12, 0.08)
    if weather.lamps_on:
        colours["headlamp"] = light_lamp(1.0, 0.97, 0.85)
    gains = {
        "left": weather.right_gain,
        "right": weather.left_gain,
        "rear": weather.facing_gain,
        "front": 0.75,
        "up": 1.25,
        "flat": 0.8,
    }
    if faces_back:
        gains["left"], gains["right"] = gains["right"], gains["left"]
        gains["rear"], gains["front"] = gains["front"], gains["rear"]
    mixed = []
    for face in share_vehicle(kind).faces:
        name, _, level = face.shade.partition(" ")
        red, green, blue = colours[face.material]
        if name != "lamp":
            gain = gains[name] * {"low": 0.72, "high": 1.3}.get(level, 1.0)
            sheen = 14.0 if name == "up" or level == "high" else 0.0
            red, green, blue = (c * gain + sheen for c in (red, green, blue))
        mixed.append((red, green, blue))
    return tuple(mixed)


def draw_vehicle(
    rng: np.random.Generator,
    lateral_m: float,
    along_m: float,
    *,
    faces_back: bool,
    kinds: int = len(_KINDS),
    shadow_side: int = 0,
) -> Vehicle:
    """Draw kind and colour of a vehicle; `kinds` limits it to the smaller ones."""
    shares = np.array(_KIND_SHARES[:kinds]) / sum(_KIND_SHARES[:kinds])
    kind = str(rng.choice(_KINDS[:kinds], p=shares))
    paint = np.array(_PAINTS[int(rng.integers(len(_PAINTS)))]) * rng.uniform(0.8, 1.1)
    if kind == "van" and rng.random() < 0.6:
        paint = np.array((218.0, 220, 220))
    if kind == "double":
        paint = np.array((130.0, 24, 26))
    red, green, blue = (float(c) for c in paint)
    return Vehicle(
        kind,
        (red, green, blue),
        lateral_m,
        along_m,
        faces_back,
        float(rng.normal(0, 0.015)),
        bool(rng.random() < 0.3),
        shadow_side,
    )


def _list_shadow(
    lateral_m: float, width_m: float, span_m: tuple[float, float], side: int
) -> np.ndarray:
    """Return the outlines of the shadow beside and of the dark below a vehicle."""
    half, (near, far) = width_m / 2, span_m
    points = []
    for grow, reach in ((0.16, 0.9 * side), (-0.02, 0.0)):
        left = lateral_m - half - grow - max(reach, 0.0)
        right = lateral_m + half + grow - min(reach, 0.0)
        points += [(left, 0.0, near - grow), (left, 0.0, far), (right, 0.0, far)]
        points += [(right, 0.0, near - grow)]
    return np.array(points)
