"""Which tiles of a larger scale to run, and how many in one pass."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from proxia_segmentation_ros.config import InferenceSettings, check_inference

_SETTINGS = InferenceSettings.model_fields
TILE_THRESHOLD: float = _SETTINGS["tile_threshold"].default
TILE_BUDGET: float = _SETTINGS["tile_budget"].default
TILE_MAX_AGE: int = _SETTINGS["tile_max_age"].default


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """How much of the larger scales may be left out.

    A tile whose mean demand, 0..1, is below `tile_threshold` at scale 1.0, four times that at 2.0,
    is not run. `tile_budget` bounds the work for all larger scales, as a share of running them
    whole. Tiles of a video that did not change are reused for `tile_max_age` frames.
    `latency_budget_ms` 0 is none.
    """

    tile_threshold: float = TILE_THRESHOLD
    tile_budget: float = TILE_BUDGET
    tile_max_age: int = TILE_MAX_AGE
    latency_budget_ms: float = 0.0

    @property
    def is_off(self) -> bool:
        """Whether every tile of every scale runs each time."""
        return not (self.tile_threshold or self.tile_budget < 1 or self.latency_budget_ms)

    @property
    def is_video(self) -> bool:
        """Whether what runs depends on the frames before."""
        return not self.is_off

    def check(self) -> None:
        """Refuse what can't be.

        Raises:
            ConfigError: a number is out of its range.
        """
        check_inference(dataclasses.asdict(self))


NO_PRUNING = Pruning(tile_threshold=0.0, tile_budget=1.0, tile_max_age=0)


def choose_tiles(demand_T: np.ndarray, threshold: float) -> list[int]:
    """Return the tiles of at least this demand, the neediest first."""
    order = np.argsort(-demand_T, kind="stable")
    return [int(index) for index in order if demand_T[index] >= threshold]


def split_into_batches(tiles: Sequence[int], sizes: Sequence[int]) -> list[Sequence[int]]:
    """Split into as few passes as the static batch sizes, 1 among them, make possible."""
    batches = []
    start = 0
    while start < len(tiles):
        size = max(one for one in sizes if one <= len(tiles) - start)
        batches.append(tiles[start : start + size])
        start += size
    return batches
