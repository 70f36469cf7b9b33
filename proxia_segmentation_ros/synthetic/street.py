"""The scene: an endless drive along a street, with ground truth for every pixel."""

import math
from collections.abc import Iterator

import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.synthetic.camera import Bend, Camera
from proxia_segmentation_ros.synthetic.drawing.canvas import Canvas
from proxia_segmentation_ros.synthetic.layout import BLOCK_M, Block, draw_block
from proxia_segmentation_ros.synthetic.plan import draw_plan
from proxia_segmentation_ros.synthetic.sensor import draw_sensor, expose
from proxia_segmentation_ros.synthetic.stage import VIEW_M, Thing, draw_things
from proxia_segmentation_ros.synthetic.things.buildings import make_backdrop
from proxia_segmentation_ros.synthetic.things.ground import PAVEMENT, ROAD, Patch, paint_ground
from proxia_segmentation_ros.synthetic.traffic import Traffic
from proxia_segmentation_ros.synthetic.weather import draw_weather, paint_sky

_MIN_SIDE_PX = 16
Frame = tuple[np.ndarray, np.ndarray]


class StreetScene:
    """A camera that drives along a street; iterate for (image_HWC uint8 RGB, labels_HW uint8).

    The same seed and size give the same bytes in every run. Ids are those of label set `camvid`.
    Each iteration starts at the first frame again; `render` gives any frame.

    Raises:
        InputError: a side is below 16 px.
    """

    label_set_name = "camvid"
    frame_rate_hz = 15.0

    def __init__(self, seed: int, size_hw: tuple[int, int]) -> None:
        if min(size_hw) < _MIN_SIDE_PX:
            raise InputError.from_parts(
                f"scene size {size_hw[1]}x{size_hw[0]} (width x height)",
                f"at least {_MIN_SIDE_PX} px a side",
                "ask for a larger size",
            )
        self.seed = int(seed)
        self.size_hw = (int(size_hw[0]), int(size_hw[1]))
        rng = np.random.default_rng((abs(self.seed), 79))
        self._weather = draw_weather(rng)
        self._sensor = draw_sensor(rng, self._weather.kind == "dusk")
        self._plan = draw_plan(rng, abs(self.seed), self._weather.cast_side)
        self._draw_camera(rng)
        self._traffic = Traffic(self._plan, self._speed_mps)
        self._sky = paint_sky(self._weather, (self._sky_rows, self.size_hw[1]))
        self._backdrop = make_backdrop(rng, self.size_hw, self._focal_px)
        self._blocks: dict[int, Block] = {}

    @classmethod
    def sample(cls, seed: int, size_hw: tuple[int, int]) -> Frame:
        """Return one frame of the scene with this seed, at a random time drawn from the seed."""
        moment = int(np.random.default_rng((abs(int(seed)), 83)).integers(1000))
        return cls(seed, size_hw).render(moment)

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            yield self.render(index)
            index += 1

    def render(self, index: int) -> Frame:
        """Return frame `index`."""
        time_s = index / self.frame_rate_hz
        camera = self._place_camera(time_s)
        canvas = Canvas(
            camera,
            self._weather.tone,
            np.empty((*self.size_hw, 3), np.uint8),
            np.zeros(self.size_hw, np.uint8),
        )
        self._paint_sky(canvas)
        self._backdrop.draw(canvas)
        blocks = self._list_blocks(camera)
        self._paint_ground(canvas, blocks)
        things: list[Thing] = [thing for block in blocks for thing in block.things]
        things += self._traffic.list_things(camera.along_m, time_s)
        draw_things(canvas, self._weather, things)
        rng = np.random.default_rng((abs(self.seed), 89, index))
        picture = expose(canvas.image_HWC, self._sensor, rng)
        return picture, canvas.labels_HW

    def _draw_camera(self, rng: np.random.Generator) -> None:
        """Draw lens, mounting and drive."""
        height, width = self.size_hw
        self._focal_px = float(max(height * rng.uniform(1.15, 1.5), width * 0.55))
        self._horizon_px = float(height * rng.uniform(0.48, 0.6))
        self._yaw = float(rng.normal(0, 0.05))
        self._camera_m = float(rng.uniform(1.2, 1.7))
        self._lateral_m = float(-self._plan.lane_m * rng.uniform(0.4, 0.68))
        self._speed_mps = float(rng.uniform(2.5, 5.5))
        self._phase = float(rng.uniform(0, 7))
        self._start_m = float(rng.uniform(0, 400))
        bend = float(rng.choice((0.0, 1.0, 2.5), p=(0.4, 0.4, 0.2)))
        self._bend = Bend(
            (bend * 3.0, bend * 0.8),
            (float(rng.uniform(34, 60)), float(rng.uniform(16, 24))),
            (float(rng.uniform(0, 7)), float(rng.uniform(0, 7))),
        )
        self._sky_rows = int(self._horizon_px + height * 0.12) + 4

    def _place_camera(self, time_s: float) -> Camera:
        """Return the camera at a time: it drives, sways and nods a little."""
        height, width = self.size_hw
        sway = math.sin(time_s * 0.7 + self._phase)
        nod = math.sin(time_s * 5.1 + self._phase) + 0.6 * math.sin(time_s * 2.3)
        yaw = self._yaw + 0.012 * math.sin(time_s * 0.5 + self._phase)
        return Camera(
            size_hw=self.size_hw,
            focal_px=self._focal_px,
            centre_px=width / 2 + yaw * self._focal_px,
            horizon_px=self._horizon_px + 0.003 * height * nod,
            height_m=self._camera_m,
            lateral_m=self._lateral_m + 0.12 * sway,
            along_m=self._start_m + self._speed_mps * time_s,
            bend=self._bend,
        )

    def _paint_sky(self, canvas: Canvas) -> None:
        """Lay the sky down to the horizon."""
        rows = min(
            max(round(canvas.camera.horizon_px + 0.08 * self.size_hw[0]), 0), self.size_hw[0]
        )
        sky = self._sky[-rows:] if rows <= len(self._sky) else self._sky
        canvas.image_HWC[rows - len(sky) : rows] = sky

    def _list_blocks(self, camera: Camera) -> list[Block]:
        """Return the blocks in view, and forget those behind."""
        first = math.floor((camera.along_m - 12) / BLOCK_M)
        last = math.floor((camera.along_m + VIEW_M) / BLOCK_M)
        wanted = range(first, last + 1)
        self._blocks = {
            index: self._blocks.get(index) or draw_block(self._plan, index) for index in wanted
        }
        return list(self._blocks.values())

    def _paint_ground(self, canvas: Canvas, blocks: list[Block]) -> None:
        """Paint road and pavements in one go, then what each block adds."""
        plan, along = self._plan, canvas.camera.along_m
        end = along + 200
        left, right = plan.find_edge(-1), plan.find_edge(1)
        stone, gutter = (196.0, 190.0, 178.0), (38.0, 38.0, 40.0)
        surfaces = [patch for block in blocks for patch in block.patches]
        verges = [patch for patch in surfaces if patch.label == 5]
        others = [patch for patch in surfaces if patch.label != 5]
        patches = [
            *verges,
            Patch(plan.find_back(-1), plan.find_back(1), along, end, plan.pavement_rgb, PAVEMENT),
            Patch(left - 0.28, right + 0.28, along, end, stone, PAVEMENT),
            Patch(left, right, along, end, gutter, ROAD),
            Patch(left + 0.12, right - 0.12, along, end, plan.road_rgb, ROAD),
            *others,
        ]
        side = self._weather.sun_side
        shadows = [
            shadow
            for block in blocks
            for shadow in block.shadows
            if (shadow.points_N2[0][0] < 0) == (side < 0)
        ]
        paint_ground(
            canvas,
            self._weather,
            (plan.base_rgb, plan.base_label),
            patches,
            shadows,
        )
