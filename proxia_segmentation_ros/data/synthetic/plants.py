"""Trees, bushes and hedges beside the street."""

from dataclasses import dataclass

from proxia_segmentation_ros.data.synthetic.canvas import Canvas
from proxia_segmentation_ros.data.synthetic.foliage import (
    share_bare_tree,
    share_bush,
    share_hedge,
    share_leafy_tree,
)
from proxia_segmentation_ros.data.synthetic.furniture import draw_strip
from proxia_segmentation_ros.data.synthetic.weather import Weather

TREE = 5


@dataclass(frozen=True)
class Plant:
    """A tree or bush: `kind` is leafy, bare or bush."""

    kind: str
    index: int
    lateral_m: float
    along_m: float
    height_m: float
    spread: float

    @property
    def far_m(self) -> float:
        """Return the distance by which things are sorted."""
        return self.along_m

    def draw(self, canvas: Canvas, weather: Weather) -> None:
        """Paint the plant."""
        camera = canvas.camera
        ahead = self.along_m - camera.along_m
        if ahead < 1.8 or ahead > 110:
            return
        share = {"leafy": share_leafy_tree, "bare": share_bare_tree, "bush": share_bush}[self.kind]
        sprite = share(self.index % {"leafy": 10, "bare": 8, "bush": 6}[self.kind])
        (foot,) = camera.project_clipped(_as_points(self.lateral_m, self.along_m))
        stretch = self.height_m / sprite.size_m[1]
        gain = 0.5 * (weather.facing_gain + weather.measure_gain(self.lateral_m))
        canvas.stamp(
            sprite,
            (float(foot[0]), float(foot[1]) + 1),
            camera.measure_scale(self.along_m),
            TREE,
            gain=gain,
            stretch=(stretch * self.spread, stretch),
            mirrored=self.index % 2 == 1,
        )


def _as_points(lateral_m: float, along_m: float):  # type: ignore[no-untyped-def]
    import numpy as np

    return np.array([[lateral_m, 0.0, along_m]])


@dataclass(frozen=True)
class Hedge:
    """A stretch of hedge along the street."""

    index: int
    lateral_m: float
    along_m: float
    length_m: float
    height_m: float

    @property
    def far_m(self) -> float:
        """Return the far end, by which things are sorted."""
        return self.along_m + self.length_m

    def draw(self, canvas: Canvas, weather: Weather) -> None:
        """Paint the hedge."""
        draw_strip(
            canvas,
            share_hedge(self.index % 4),
            TREE,
            weather.measure_gain(self.lateral_m),
            self.lateral_m,
            (self.along_m, self.far_m),
            (0.0, self.height_m),
            piece_m=6.0,
        )
