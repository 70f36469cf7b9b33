"""Cars, vans, lorries and buses on the street."""

from dataclasses import dataclass

import numpy as np

from proxia_segmentation_ros.data.synthetic.canvas import Canvas, Colour
from proxia_segmentation_ros.data.synthetic.solids import Face, project_faces, share_vehicle
from proxia_segmentation_ros.data.synthetic.textures import SURFACE_SHARE
from proxia_segmentation_ros.data.synthetic.weather import Weather, encode_light

CAR = 8
_KINDS = ("hatch", "estate", "saloon", "jeep", "van", "lorry", "bus", "double")
_KIND_SHARES = (0.36, 0.17, 0.17, 0.1, 0.12, 0.03, 0.03, 0.02)
_PAINTS = (
    (24, 26, 30), (34, 40, 62), (150, 154, 158), (190, 194, 198), (224, 226, 226), (120, 18, 22),
    (24, 44, 96), (70, 78, 84), (20, 52, 40), (94, 98, 102), (160, 60, 30), (66, 92, 120),
)  # fmt: skip
_FIXED: dict[str, tuple[int, int, int]] = {
    "glass": (58, 66, 72),
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

    @property
    def far_m(self) -> float:
        """Return the far end, by which things are sorted."""
        return self.along_m + share_vehicle(self.kind).length_m

    def draw(self, canvas: Canvas, weather: Weather) -> None:
        """Paint shadow and body."""
        solid = share_vehicle(self.kind)
        if canvas.camera.measure_scale(self.along_m) * solid.width_m < 5:
            return
        points_N3 = self.place_vertices(solid.vertices_N3, solid.length_m)
        draw_shadow(canvas, weather, self.lateral_m, solid.width_m, (self.along_m, self.far_m))
        colours = self.mix_colours(weather)
        is_far = canvas.camera.measure_scale(self.along_m) < 11
        for face, uv in project_faces(canvas.camera, points_N3, solid.faces):
            if is_far and face.material in ("rim", "arch", "white plate"):
                continue
            canvas.fill(uv, self.shade_face(face, colours, weather), CAR if face.is_body else None)

    def place_vertices(self, vertices_N3: np.ndarray, length_m: float) -> np.ndarray:
        """Return vertices on the street, turned about the middle of the vehicle."""
        points_N3 = vertices_N3.copy()
        points_N3[:, 2] -= length_m / 2
        turn = self.turn + (np.pi if self.faces_back else 0.0)
        cosine, sine = float(np.cos(turn)), float(np.sin(turn))
        across, along = points_N3[:, 0].copy(), points_N3[:, 2].copy()
        points_N3[:, 0] = across * cosine + along * sine + self.lateral_m
        points_N3[:, 2] = along * cosine - across * sine + self.along_m + length_m / 2
        return points_N3

    def mix_colours(self, weather: Weather) -> dict[str, Colour]:
        """Return the colour of every material before shading."""
        colours: dict[str, Colour] = {name: scale(rgb, 1.0) for name, rgb in _FIXED.items()}
        colours["paint"] = scale(self.paint, 1.0)
        if weather.lamps_on or self.brakes:
            colours["rear lamp"] = encode_light((0.85, 0.1, 0.05))
            colours["rear lamp"] = (colours["rear lamp"][0], 40.0, 30.0)
        if weather.lamps_on:
            colours["headlamp"] = encode_light((1.0, 0.97, 0.85))
        return colours

    def shade_face(self, face: Face, colours: dict[str, Colour], weather: Weather) -> Colour:
        """Return the colour of a face in the light of the scene."""
        if face.shade == "lamp":
            return colours[face.material]
        gains = {
            "left": weather.right_gain,
            "right": weather.left_gain,
            "rear": weather.facing_gain,
            "front": 0.75,
            "up": 1.25,
            "flat": 0.8,
        }
        if self.faces_back:
            gains["left"], gains["right"] = gains["right"], gains["left"]
            gains["rear"], gains["front"] = gains["front"], gains["rear"]
        name, _, low = face.shade.partition(" ")
        gain = gains[name] * (0.72 if low else 1.0)
        red, green, blue = colours[face.material]
        sheen = 14.0 if face.material == "paint" and name == "up" else 0.0
        return (
            min(red * gain + sheen, 191.0),
            min(green * gain + sheen, 191.0),
            min(blue * gain + sheen, 191.0),
        )


def draw_vehicle(
    rng: np.random.Generator,
    lateral_m: float,
    along_m: float,
    *,
    faces_back: bool,
    kinds: int = len(_KINDS),
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
    )


def scale(rgb: tuple[float, float, float], gain: float) -> Colour:
    """Return a display colour 0..255 as buffer colour in the given light."""
    red, green, blue = (min(c * gain * SURFACE_SHARE, 191.0) for c in rgb)
    return (red, green, blue)


def draw_shadow(
    canvas: Canvas,
    weather: Weather,
    lateral_m: float,
    width_m: float,
    span_m: tuple[float, float],
) -> None:
    """Darken the ground below and beside something that stands on it."""
    half = width_m / 2
    reach = 0.9 * weather.sun_side if weather.shadow < 0.7 else 0.0
    near, far = span_m
    for grow, dark in ((0.16, 40.0), (-0.02, 20.0)):
        left = lateral_m - half - grow - max(reach * (grow > 0), 0)
        right = lateral_m + half + grow - min(reach * (grow > 0), 0)
        corners = [(left, near), (left, far), (right, far), (right, near)]
        points = np.array([(x, 0.0, s) for x, s in corners])
        canvas.fill(canvas.camera.project_clipped(points), (dark, dark, dark * 1.05), None)
