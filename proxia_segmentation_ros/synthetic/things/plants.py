"""Trees and bushes beside the street."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from proxia_segmentation_ros.synthetic.drawing.textures import Sprite
from proxia_segmentation_ros.synthetic.stage import View
from proxia_segmentation_ros.synthetic.things.foliage import (
    BUSH_COUNT,
    LEAFY_COUNT,
    share_bush,
    share_leafy_tree,
)

TREE = 5


@dataclass(frozen=True)
class Plant:
    """A tree or bush: `kind` is leafy or bush; `spread` stretches it sideways."""

    kind: str
    index: int
    lateral_m: float
    along_m: float
    height_m: float
    spread: float

    least_px = 20.0

    @property
    def coarsest_m(self) -> float:
        """Return the size of a pixel at which its height fills `least_px`."""
        return self.height_m / self.least_px

    @property
    def far_m(self) -> float:
        """Return the distance by which things are sorted."""
        return self.along_m

    @cached_property
    def sprite(self) -> Sprite:
        """Return the picture of the plant."""
        if self.kind == "leafy":
            return share_leafy_tree(self.index % LEAFY_COUNT)
        return share_bush(self.index % BUSH_COUNT)

    @cached_property
    def points_N3(self) -> np.ndarray:
        """Return its foot."""
        return np.array([[self.lateral_m, 0.0, self.along_m]])

    @property
    def rim_m(self) -> float:
        """Return half the width of its crown."""
        sprite_m = self.sprite.size_m
        return self.height_m * self.spread * sprite_m[0] / sprite_m[1] / 2

    def draw(self, view: View) -> None:
        """Paint the plant."""
        px_per_m = view.camera.measure_scale(self.along_m)
        if view.placed_N3[0, 2] < 1.8:
            return
        foot_u, foot_v = view.uv_N2[0].tolist()
        stretch = self.height_m / self.sprite.size_m[1]
        weather = view.weather
        view.canvas.stamp(
            self.sprite,
            (foot_u, foot_v + 1),
            px_per_m,
            TREE,
            gain=0.5 * (weather.facing_gain + weather.measure_gain(self.lateral_m)),
            stretch=(stretch * self.spread, stretch),
            mirrored=self.index % 2 == 1,
        )
