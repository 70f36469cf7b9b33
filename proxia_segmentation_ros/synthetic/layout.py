"""The positions of things: the street is laid out block by block, each from its own seed."""

from dataclasses import dataclass

import numpy as np

from proxia_segmentation_ros.synthetic.plan import StreetPlan
from proxia_segmentation_ros.synthetic.stage import Thing
from proxia_segmentation_ros.synthetic.things.buildings import Building
from proxia_segmentation_ros.synthetic.things.facades import FACADE_COUNT, share_facade
from proxia_segmentation_ros.synthetic.things.furniture import Pole, Sign
from proxia_segmentation_ros.synthetic.things.ground import PAVEMENT, ROAD, VERGE, Patch, Shadow
from proxia_segmentation_ros.synthetic.things.plants import Plant
from proxia_segmentation_ros.synthetic.things.strips import Strip
from proxia_segmentation_ros.synthetic.things.vehicles import draw_vehicle
from proxia_segmentation_ros.synthetic.tone import scale

BLOCK_M = 24.0
DISTRICT_BLOCKS = 4
_POLE_GREYS = ((36, 40, 42), (26, 46, 38), (48, 46, 44), (150, 154, 156), (178, 180, 178))
_FENCES = ("board", "picket", "railing")


@dataclass(frozen=True)
class Block:
    """What stands in one block of the street."""

    things: tuple[Thing, ...]
    patches: tuple[Patch, ...]
    shadows: tuple[Shadow, ...]


def draw_block(plan: StreetPlan, index: int) -> Block:
    """Draw everything in block `index`."""
    rng = np.random.default_rng((plan.seed, 61, index + 1000))
    builder = BlockBuilder(plan, index, rng)
    district = plan.districts[(index // DISTRICT_BLOCKS) % len(plan.districts)]
    if index % 5 == int(plan.seed) % 5:
        builder.add_junction(int(rng.choice((-1, 1, 2))))
    elif rng.random() < 0.12:
        builder.add_crossing()
    for side, kind in zip((-1, 1), district, strict=True):
        builder.add_side(side, kind)
        builder.add_kerbside(side)
    builder.add_markings()
    return builder.build()


class BlockBuilder:
    """Collects what stands in one block."""

    def __init__(self, plan: StreetPlan, index: int, rng: np.random.Generator) -> None:
        self._plan = plan
        self._rng = rng
        self._index = index
        self._start = index * BLOCK_M
        self._things: list[Thing] = []
        self._patches: list[Patch] = []
        self._shadows: list[Shadow] = []
        self._gap_m = {-1: 0.0, 1: 0.0}

    def build(self) -> Block:
        """Return the finished block."""
        return Block(tuple(self._things), tuple(self._patches), tuple(self._shadows))

    def add_junction(self, side: int) -> None:
        """Let a side road leave to the left (-1), the right (1) or both (2)."""
        plan, width = self._plan, float(self._rng.uniform(6, 8))
        self._start_gap = self._start + 1.0
        for direction in (-1, 1) if side == 2 else (side,):
            self._gap_m[direction] = width + 3.5
            edge = plan.find_edge(direction)
            out = direction * 45.0
            begin = self._start_gap + 1.5
            left, right = min(edge, out), max(edge, out)
            self._patches.append(
                Patch(left, right, begin - 1.6, begin + width + 1.6, plan.pavement_rgb, PAVEMENT)
            )
            self._patches.append(Patch(left, right, begin, begin + width, plan.road_rgb, ROAD))
            for reach, cut in ((1.6, 0.8), (0.8, 1.6)):
                a, b = min(edge, edge + direction * reach), max(edge, edge + direction * reach)
                self._patches.append(
                    Patch(a, b, begin - cut, begin + width + cut, plan.road_rgb, ROAD)
                )
            for shift in (0.1, 0.45):
                for k in range(int(width / 0.9)):
                    x = edge + direction * shift
                    y = begin + 0.9 * k
                    self._patches.append(Patch(x - 0.1, x + 0.1, y, y + 0.6, plan.marking_rgb))

    def add_crossing(self) -> None:
        """Paint a zebra crossing with its stop lines, signals and poles."""
        plan = self._plan
        left, right = plan.find_edge(-1), plan.find_edge(1)
        begin = self._start + float(self._rng.uniform(4, 18))
        stripes = int((right - left) / 1.2)
        for k in range(stripes):
            x = left + 0.3 + 1.2 * k
            self._patches.append(Patch(x, x + 0.6, begin, begin + 2.6, plan.marking_rgb))
        for side in (-1, 1):
            x = plan.find_edge(side) + side * 0.35
            self._add_light(x, begin, (60, 62, 62))

    def add_side(self, side: int, kind: str) -> None:
        """Add what stands behind the pavement."""
        begin = self._start + self._gap_m[side]
        if kind == "park":
            self._add_park(side, begin)
        elif kind == "houses":
            setback = float(self._rng.uniform(3.5, 6))
            self._add_row(side, begin, setback, ("house",))
            self._add_garden(side, begin, setback)
        elif kind == "terrace":
            self._add_row(side, begin, 1.8, ("house", "stone"))
            self._add_boundary(side, begin, self._start + BLOCK_M - begin)
        elif kind == "offices":
            self._add_row(side, begin, float(self._rng.choice((0, 2.5))), ("office", "stone"))
        else:
            self._add_row(side, begin, 0.0, ("shop", "shop", "house"))

    def _add_row(self, side: int, begin: float, setback: float, kinds: tuple[str, ...]) -> None:
        """Add houses side by side."""
        rng, plan = self._rng, self._plan
        end, lateral = self._start + BLOCK_M, plan.find_back(side) + side * setback
        previous_m = 0.0
        if rng.random() < 0.25:
            begin += float(rng.uniform(2, 5))
        while end - begin > 2.5:
            facade = self._pick_facade(kinds)
            width = share_facade(facade).width_m * float(rng.uniform(0.85, 1.15))
            if end - begin - width < 4.0:
                width = end - begin
            height = share_facade(facade).height_m * float(rng.uniform(0.9, 1.12))
            depth = float(rng.uniform(7, 10))
            self._things.append(
                Building(facade, lateral, begin, width, height, depth,
                         float(rng.uniform(0.8, 1.1)),
                         float(rng.uniform(0.5, width - 0.4)) * (rng.random() < 0.6),
                         previous_m)
            )  # fmt: skip
            previous_m = height
            self._cast(lateral, begin, width, height)
            if rng.random() < 0.12:
                self._things.append(
                    Sign("board", int(rng.integers(8)), lateral - side * 0.6,
                         begin + width * 0.5, 2.6, (1.1, 1.0), 0.26)
                )  # fmt: skip
            begin += width

    def _pick_facade(self, kinds: tuple[str, ...]) -> int:
        """Return the index of a front of one of the kinds."""
        for _ in range(12):
            index = int(self._rng.integers(FACADE_COUNT))
            if share_facade(index).kind in kinds:
                return index
        return 1

    def _cast(self, lateral: float, begin: float, width: float, height: float) -> None:
        """Let a house throw its shadow on the road, as if the sun stood on its side."""
        reach = min(height * 0.75, 9.0) * (1.0 if lateral < 0 else -1.0)
        points = ((lateral, begin), (lateral + reach, begin - 1.5),
                  (lateral + reach, begin + width - 1.5), (lateral, begin + width))  # fmt: skip
        self._shadows.append(Shadow(points))

    def _add_garden(self, side: int, begin: float, setback: float) -> None:
        """Add front gardens behind a fence, wall or hedge."""
        rng, back = self._rng, self._plan.find_back(side)
        length = self._start + BLOCK_M - begin
        green = scale((86, 98, 54), float(rng.uniform(0.7, 1.1)))
        out = back + side * setback
        self._patches.append(
            Patch(min(back, out), max(back, out), begin, begin + length, green, VERGE)
        )
        self._add_boundary(side, begin, length)
        for _ in range(int(rng.integers(1, 4))):
            along = begin + float(rng.uniform(0.5, max(length - 1, 0.6)))
            lateral = back + side * float(rng.uniform(0.8, setback - 0.6))
            if rng.random() < 0.4:
                self._add_tree(lateral, along, float(rng.uniform(4, 7)))
            else:
                self._things.append(
                    Plant("bush", int(rng.integers(6)), lateral, along,
                          float(rng.uniform(0.9, 2.2)), float(rng.uniform(0.7, 1.2)))
                )  # fmt: skip

    def _add_tree(self, lateral: float, along: float, height: float) -> None:
        """Add a tree and the shadow of its crown."""
        rng = self._rng
        self._things.append(
            Plant("leafy", int(rng.integers(20)), lateral, along, height,
                  float(rng.uniform(0.85, 1.15)))
        )  # fmt: skip
        middle = lateral + (3.5 if lateral < 0 else -3.5)
        turns = np.linspace(0, 2 * np.pi, 10)[:-1]
        reach = height * 0.3 * rng.uniform(0.7, 1.2, len(turns))
        points = tuple(
            (middle + float(r * np.cos(t)) * 1.5, along + float(r * np.sin(t)))
            for r, t in zip(reach, turns, strict=True)
        )
        self._shadows.append(Shadow(points))

    def _add_park(self, side: int, begin: float) -> None:
        """Add grass with trees, often behind a fence or hedge."""
        rng, back = self._rng, self._plan.find_back(side)
        length = self._start + BLOCK_M - begin
        green = scale((86, 98, 54), float(rng.uniform(0.7, 1.1)))
        out = back + side * 40
        self._patches.append(
            Patch(min(back, out), max(back, out), begin, begin + length, green, VERGE)
        )
        for row in (12.0, 5.0):
            along = begin + float(rng.uniform(0, 4))
            while along < begin + length:
                lateral = back + side * (row + float(rng.uniform(-1.5, 3)))
                self._add_tree(lateral, along, float(rng.uniform(6, 12)))
                along += float(rng.uniform(5, 11))
        self._add_boundary(side, begin, length)

    def _add_boundary(self, side: int, begin: float, length: float) -> None:
        """Add the fence, or now and then the hedge, that goes along a whole district."""
        plan, district = self._plan, self._index // DISTRICT_BLOCKS
        rng = np.random.default_rng((plan.seed, 101, district + 1000, side + 1))
        kind = "hedge" if rng.random() < 0.08 else str(rng.choice(_FENCES))
        height, index = float(rng.uniform(1.2, 1.6)), int(rng.integers(4))
        lateral = plan.find_back(side) + side * 0.15
        self._things.append(Strip(kind, index, lateral, begin, length, height))

    def add_kerbside(self, side: int) -> None:
        """Add what stands on the pavement near the kerb, and parked cars."""
        rng, plan = self._rng, self._plan
        begin, end = self._start + self._gap_m[side], self._start + BLOCK_M
        kerb = plan.find_edge(side) + side * 0.45
        grey = _POLE_GREYS[(plan.seed + self._index // DISTRICT_BLOCKS) % len(_POLE_GREYS)]
        lamp = self._start + 3 + (side > 0) * 5 + float(rng.uniform(-1.5, 1.5))
        if lamp > begin:
            arm = -side * float(rng.uniform(0.7, 1.2)) * (rng.random() < 0.6)
            width = float(rng.uniform(0.26, 0.34))
            self._things.append(Pole(kerb, lamp, float(rng.uniform(4.2, 5.6)), width, grey, arm))
        for place in (10.0, 18.0):
            along = self._start + place + (side > 0) * 4 + float(rng.uniform(-2, 2))
            if rng.random() < 0.8 and along > begin:
                self._add_sign(kerb, along, grey)
        if rng.random() < 0.15:
            along = float(rng.uniform(begin, end - 4))
            for k in range(int(rng.integers(2, 4))):
                self._things.append(Pole(kerb, along + 2.2 * k, 1.1, 0.3, (40, 40, 42)))
        if rng.random() < 0.2:
            self._add_tree(kerb + side * 0.5, float(rng.uniform(begin, end)),
                           float(rng.uniform(5, 8)))  # fmt: skip
        if plan.parking_m[(side + 1) // 2] > 0:
            self._park_cars(side, begin, end)

    def _add_sign(self, lateral: float, along: float, grey: tuple[int, int, int]) -> None:
        """Add a sign or a traffic light with its post."""
        rng = self._rng
        kind = str(
            rng.choice(("round", "triangle", "board", "blue round", "diamond", "light"),
                       p=(0.22, 0.16, 0.24, 0.14, 0.06, 0.18))
        )  # fmt: skip
        if kind == "light":
            self._add_light(lateral, along, grey)
            return
        width = float(rng.uniform(1.0, 1.25))
        height = width * 0.9 if kind == "board" else width
        up, post = float(rng.uniform(1.7, 2.2)), 0.24 * width
        self._things.append(Pole(lateral, along, up + 0.5 * height, post, grey))
        index = int(rng.integers(24))
        self._things.append(Sign(kind, index, lateral, along, up, (width, height), post))

    def _add_light(self, lateral: float, along: float, grey: tuple[int, int, int]) -> None:
        """Add a traffic light on its post."""
        self._things.append(Pole(lateral, along, 2.6, 0.26, grey))
        index = int(self._rng.integers(3))
        self._things.append(Sign("light", index, lateral, along, 2.0, (0.72, 1.7), 0.26))

    def _park_cars(self, side: int, begin: float, end: float) -> None:
        """Fill the parking lane with cars and gaps."""
        rng, edge = self._rng, self._plan.find_edge(side)
        along = begin + float(rng.uniform(0, 4))
        while along < end - 5.2:
            if rng.random() < 0.55:
                car = draw_vehicle(
                    rng,
                    edge - side * 1.02,
                    along,
                    faces_back=bool(rng.random() < (0.9 if side > 0 else 0.15)),
                    kinds=5,
                    shadow_side=self._plan.shadow_side,
                )
                self._things.append(car)
            along += float(rng.uniform(5.4, 6.5))

    def add_markings(self) -> None:
        """Paint the line between the lanes and what else is on the road."""
        rng, plan = self._rng, self._plan
        if self._gap_m[-1] + self._gap_m[1] == 0 or rng.random() < 0.5:
            for k in range(4):
                begin = self._start + 6 * k
                self._patches.append(Patch(-0.06, 0.06, begin, begin + 3.6, plan.marking_rgb))
        for side in (-1, 1):
            if plan.has_yellow_lines and not plan.parking_m[(side + 1) // 2]:
                edge = plan.find_edge(side)
                begin = self._start + self._gap_m[side]
                for inset in (0.25, 0.5):
                    x = edge - side * inset
                    yellow = scale((176, 150, 60), 0.9)
                    self._patches.append(
                        Patch(x - 0.05, x + 0.05, begin, self._start + BLOCK_M, yellow)
                    )
        if rng.random() < 0.15:
            self._add_arrow(float(rng.choice((-1, 1))) * plan.lane_m / 2)

    def _add_arrow(self, lateral: float) -> None:
        """Paint a lane arrow."""
        begin, rgb = self._start + 8, self._plan.marking_rgb
        self._patches.append(Patch(lateral - 0.08, lateral + 0.08, begin, begin + 2.8, rgb))
        for skew in (-0.45, 0.45):
            x = lateral - skew
            self._patches.append(
                Patch(x - 0.12, x + 0.12, begin + 1.8, begin + 3.2, rgb, None, skew)
            )
