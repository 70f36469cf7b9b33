"""Solid things made of flat faces: vehicles."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Face:
    """A flat polygon of a solid: rows of its vertices, its material, whether it is the body."""

    first: int
    last: int
    material: str
    shade: str
    is_body: bool


@dataclass(frozen=True)
class Solid:
    """Faces in drawing order; vertices are (right, up, ahead) from the middle of the rear edge."""

    vertices_N3: np.ndarray
    faces: tuple[Face, ...]
    firsts: np.ndarray
    following_N: np.ndarray
    length_m: float
    width_m: float


class SolidBuilder:
    """Collects the faces of a solid."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float, float]] = []
        self._faces: list[Face] = []

    def add(
        self,
        points: list[tuple[float, float, float]],
        material: str,
        shade: str,
        *,
        body: bool = False,
    ) -> None:
        """Add a face whose vertices run clockwise as seen from outside."""
        first = len(self._points)
        self._points.extend(points)
        self._faces.append(Face(first, len(self._points), material, shade, body))

    def build(self, length_m: float, width_m: float) -> Solid:
        """Return the finished solid."""
        following_N = np.arange(len(self._points)) + 1
        for face in self._faces:
            following_N[face.last - 1] = face.first
        firsts = np.array([face.first for face in self._faces])
        return Solid(
            np.array(self._points), tuple(self._faces), firsts, following_N, length_m, width_m
        )


@dataclass(frozen=True)
class Shape:
    """Measures of a vehicle in metres; positions along it count from its rear."""

    length: float
    width: float
    belt: float
    roof: float
    cabin: tuple[float, float]
    top: tuple[float, float]
    inset: float
    bonnet: float
    wheel: float
    axles: tuple[float, float]


SHAPES = {
    "hatch": Shape(3.9, 1.68, 0.92, 1.46, (0.08, 2.75), (0.45, 2.0), 0.13, 0.82, 0.3, (0.7, 3.15)),
    "estate": Shape(4.5, 1.74, 0.93, 1.47, (0.1, 3.2), (0.45, 2.5), 0.13, 0.84, 0.31, (0.85, 3.6)),
    "saloon": Shape(4.5, 1.76, 0.92, 1.42, (0.55, 3.3), (1.1, 2.5), 0.15, 0.84, 0.31, (0.9, 3.6)),
    "jeep": Shape(4.6, 1.85, 1.08, 1.78, (0.08, 3.2), (0.25, 2.5), 0.12, 1.05, 0.37, (0.9, 3.7)),
    "van": Shape(4.9, 1.95, 1.1, 2.2, (0.03, 4.3), (0.08, 3.5), 0.1, 1.0, 0.33, (0.9, 4.0)),
    "lorry": Shape(7.5, 2.3, 1.1, 3.3, (0.03, 7.4), (0.05, 7.2), 0.03, 1.1, 0.45, (1.4, 6.3)),
    "bus": Shape(9.5, 2.5, 1.15, 3.0, (0.05, 9.45), (0.1, 9.35), 0.05, 1.15, 0.48, (2.2, 7.3)),
    "double": Shape(9.8, 2.5, 1.15, 4.3, (0.05, 9.75), (0.1, 9.6), 0.04, 1.15, 0.48, (2.2, 7.5)),
}


@lru_cache(maxsize=len(SHAPES))
def share_vehicle(kind: str) -> Solid:
    """Return the solid of a kind of vehicle."""
    shape, out = SHAPES[kind], SolidBuilder()
    _add_body(out, shape)
    _add_sides(out, kind, shape)
    _add_rear(out, kind, shape)
    _add_front(out, kind, shape)
    return out.build(shape.length, shape.width)


def _add_body(out: SolidBuilder, s: Shape) -> None:
    """Add bonnet, boot and roof; the sides hide what lies behind them."""
    half, inner = s.width / 2, s.width / 2 - s.inset
    boot = [(-half, s.belt - 0.04, 0.0), (-half, s.belt, s.cabin[1]), (half, s.belt, s.cabin[1])]
    out.add([*boot, (half, s.belt - 0.04, 0.0)], "paint", "up", body=True)
    bonnet = [(-half, s.belt, s.cabin[1]), (-half, s.bonnet, s.length)]
    bonnet += [(half, s.bonnet, s.length), (half, s.belt, s.cabin[1])]
    out.add(bonnet, "paint", "up", body=True)
    roof = [(-inner, s.roof, s.top[0]), (-inner, s.roof, s.top[1]), (inner, s.roof, s.top[1])]
    out.add([*roof, (inner, s.roof, s.top[0])], "paint", "up", body=True)


def _add_sides(out: SolidBuilder, kind: str, s: Shape) -> None:
    """Add both sides with windows, wheels and door joints."""
    for sign in (-1.0, 1.0):
        half, inner = sign * s.width / 2, sign * (s.width / 2 - s.inset)

        def add(
            points: list[tuple[float, float, float]],
            material: str,
            shade: str,
            body: bool = False,
            sign: float = sign,
        ) -> None:
            out.add(points if sign < 0 else points[::-1], material, shade, body=body)

        shade = "left" if sign < 0 else "right"
        nose = s.bonnet
        body = [(half, 0.28, s.length), (half, nose, s.length), (half, s.belt, s.cabin[1])]
        body += [(half, s.belt, s.cabin[0]), (half, s.belt - 0.04, 0.0), (half, 0.3, 0.0)]
        add(body, "paint", shade, True)
        low = [(half, 0.28, s.length), (half, 0.5, s.length), (half, 0.52, 0.0), (half, 0.3, 0.0)]
        add(low, "paint", shade + " low")
        high = [(half, nose - 0.07, s.length), (half, nose, s.length), (half, s.belt, s.cabin[1])]
        high += [(half, s.belt - 0.04, 0.0), (half, s.belt - 0.11, 0.0)]
        high += [(half, s.belt - 0.08, s.cabin[1])]
        add(high, "paint", shade + " high")
        if kind not in ("bus", "double"):
            for share in (0.36, 0.66):
                x = s.cabin[0] + share * (s.cabin[1] - s.cabin[0])
                joint = [(half, 0.36, x + 0.025), (half, s.belt, x + 0.025)]
                add([*joint, (half, s.belt, x), (half, 0.36, x)], "seam", shade)
        cabin = [(half, s.belt, s.cabin[1]), (inner, s.roof, s.top[1])]
        cabin += [(inner, s.roof, s.top[0]), (half, s.belt, s.cabin[0])]
        add(cabin, "paint", shade, True)
        for rise, start, end in _list_panes(kind):
            add(_cut_pane(s, sign, rise, (start, end)), "glass", shade)
        for axle in s.axles:
            for radius, material in ((s.wheel * 1.18, "arch"), (s.wheel, "tyre")):
                add(_circle(half * 1.002, axle, s.wheel, radius), material, "flat", True)
            add(_circle(half * 1.004, axle, s.wheel, s.wheel * 0.6), "rim", "flat")


def _list_panes(kind: str) -> list[tuple[tuple[float, float], float, float]]:
    """Return the side windows as (low and high share of the height, start and end share)."""
    if kind == "van":
        return [((0.15, 0.8), 0.72, 0.97)]
    if kind == "lorry":
        return [((0.12, 0.42), 0.86, 0.98)]
    if kind == "double":
        lower = [((0.06, 0.34), 0.12 * k + 0.02, 0.12 * k + 0.125) for k in range(8)]
        return lower + [((0.58, 0.86), 0.12 * k + 0.02, 0.12 * k + 0.125) for k in range(8)]
    if kind == "bus":
        return [((0.2, 0.8), 0.12 * k + 0.02, 0.12 * k + 0.125) for k in range(8)]
    return [((0.1, 0.86), 0.04, 0.24), ((0.1, 0.86), 0.27, 0.56), ((0.1, 0.86), 0.59, 0.95)]


def _cut_pane(
    s: Shape, sign: float, rise: tuple[float, float], span: tuple[float, float]
) -> list[tuple[float, float, float]]:
    """Return a window of the side of the cabin."""
    points = []
    for up_share, along_share in ((0, 1), (1, 1), (1, 0), (0, 0)):
        height = rise[up_share]
        start = s.cabin[0] + (s.top[0] - s.cabin[0]) * height
        end = s.cabin[1] + (s.top[1] - s.cabin[1]) * height
        across = s.width / 2 - s.inset * height + 0.003
        along = start + (end - start) * span[along_share]
        points.append((sign * across, s.belt + (s.roof - s.belt) * height, along))
    return points


def _circle(
    across: float, along: float, up: float, radius: float
) -> list[tuple[float, float, float]]:
    """Return a wheel as a polygon in the plane of a side."""
    turns = np.linspace(0, 2 * np.pi, 11)[:-1]
    return [
        (across, max(up + radius * float(np.cos(t)), 0.0), along - radius * float(np.sin(t)))
        for t in turns
    ]


def _box(
    x: tuple[float, float], up: tuple[float, float], along: tuple[float, float]
) -> list[tuple[float, float, float]]:
    """Return a quad seen from the rear; `along` at its lower and upper edge."""
    return [
        (x[0], up[0], along[0]), (x[0], up[1], along[1]),
        (x[1], up[1], along[1]), (x[1], up[0], along[0]),
    ]  # fmt: skip


def _add_rear(out: SolidBuilder, kind: str, s: Shape) -> None:
    """Add the rear: body, window, lamps, number plate, bumper, shade below."""
    half, inner = s.width / 2, s.width / 2 - s.inset
    e = 0.004
    low, top = s.cabin[0], s.top[0]
    cabin = [(-half, s.belt, low), (-inner, s.roof, top), (inner, s.roof, top)]
    out.add([*cabin, (half, s.belt, low)], "paint", "rear", body=True)
    g0, g1 = s.belt + 0.1 * (s.roof - s.belt), s.belt + 0.86 * (s.roof - s.belt)
    if kind not in ("lorry",):
        lean = (low + 0.1 * (top - low) - e, low + 0.86 * (top - low) - e)
        pane = _box((-inner + 0.04, inner - 0.04), (g0, g1), lean)
        out.add(pane, "glass", "rear")
        middle = ((g0 + g1) / 2, (lean[0] + lean[1]) / 2 - e)
        mirror = _box((-inner + 0.04, inner - 0.04), (middle[0], g1), (middle[1], lean[1] - e))
        out.add(mirror, "mirror", "rear")
    out.add(_box((-half, half), (0.28, s.belt), (0, 0)), "paint", "rear", body=True)
    out.add(_box((-half, half), (0.28, 0.5), (-e, -e)), "trim", "rear")
    out.add(_box((-half, half), (s.belt - 0.12, s.belt), (-e, -e)), "paint", "rear high")
    lamp = (s.belt - 0.3, s.belt - 0.08)
    for x in ((-half + 0.02, -half + 0.19), (half - 0.19, half - 0.02)):
        out.add(_box(x, lamp, (-e, -e)), "rear lamp", "lamp")
    out.add(_box((-0.26, 0.26), (0.56, 0.67), (-e, -e)), "yellow plate", "rear")
    for left in (-half + 0.02, half - 0.22):
        out.add(_box((left, left + 0.2), (0.0, 0.3), (0, 0)), "tyre", "flat", body=True)


def _add_front(out: SolidBuilder, kind: str, s: Shape) -> None:
    """Add the front: windscreen, grille, headlamps, number plate, bumper."""
    half, inner, end = s.width / 2, s.width / 2 - s.inset, s.length
    e = 0.004
    low, top = s.cabin[1], s.top[1]

    def add(points: list[tuple[float, float, float]], material: str, shade: str = "front") -> None:
        out.add(points[::-1], material, shade, body=material in ("paint", "tyre"))

    add([(-half, s.belt, low), (-inner, s.roof, top), (inner, s.roof, top), (half, s.belt, low)],
        "paint")  # fmt: skip
    tall = s.roof if kind != "double" else s.belt + 0.45 * (s.roof - s.belt)
    g0, g1 = s.belt + 0.06 * (tall - s.belt), s.belt + 0.9 * (tall - s.belt)
    pane = _box((-inner + 0.02, inner - 0.02), (g0, g1), (low + e, low + 0.9 * (top - low) + e))
    add(pane, "glass")
    half_up = ((g0 + g1) / 2, low + 0.45 * (top - low) + 2 * e)
    add(_box((-inner + 0.02, inner - 0.02), (half_up[0], g1),
             (half_up[1], low + 0.9 * (top - low) + 2 * e)), "mirror")  # fmt: skip
    add(_box((-half, half), (0.28, s.bonnet), (end, end)), "paint")
    add(_box((-half, half), (0.28, 0.46), (end + e, end + e)), "trim")
    add(_box((-0.45, 0.45), (s.bonnet - 0.28, s.bonnet - 0.1), (end + e, end + e)), "grille")
    for x in ((-half + 0.04, -half + 0.34), (half - 0.34, half - 0.04)):
        add(_box(x, (s.bonnet - 0.26, s.bonnet - 0.09), (end + e, end + e)), "headlamp", "lamp")
    add(_box((-0.26, 0.26), (0.42, 0.53), (end + 2 * e, end + 2 * e)), "white plate")
    for left in (-half + 0.02, half - 0.22):
        add(_box((left, left + 0.2), (0.0, 0.3), (end, end)), "tyre", "flat")


def find_visible(uv_N2: np.ndarray, solid: Solid) -> list[int]:
    """Return the numbers of the faces that run clockwise on the screen, in drawing order."""
    following = uv_N2[solid.following_N]
    cross = uv_N2[:, 0] * following[:, 1] - following[:, 0] * uv_N2[:, 1]
    visible: list[int] = np.flatnonzero(np.add.reduceat(cross, solid.firsts) > 0).tolist()
    return visible


def measure_turn(uv_N2: np.ndarray) -> float:
    """Return twice the signed area; above 0 when the polygon runs clockwise on the screen."""
    points = uv_N2.tolist()
    pairs = zip(points, points[1:] + points[:1], strict=True)
    return float(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs))
