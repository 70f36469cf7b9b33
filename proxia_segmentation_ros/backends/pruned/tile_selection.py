"""Select the tiles of a larger scale to run, and split them into batches."""

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
    """How much of the larger scales may be skipped.

    A tile whose mean gating score, 0..1, is below `tile_threshold` at scale 1.0, four times that at
    2.0, is not run. `tile_budget` limits the work at all larger scales, as a share of full-image
    passes. Unchanged tiles of a video are reused for `tile_max_age` frames. `latency_budget_ms` 0
    is none.
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
        """Whether the result depends on previous frames."""
        return not self.is_off

    def check(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a value is out of its range.
        """
        check_inference(dataclasses.asdict(self))


NO_PRUNING = Pruning(tile_threshold=0.0, tile_budget=1.0, tile_max_age=0)


def choose_tiles(gating_T: np.ndarray, threshold: float) -> list[int]:
    """Return the tiles with at least this gating score, highest first."""
    order = np.argsort(-gating_T, kind="stable")
    return [int(index) for index in order if gating_T[index] >= threshold]


def split_into_batches(tiles: Sequence[int], sizes: Sequence[int]) -> list[Sequence[int]]:
    """Split into as few batches as possible; `sizes` are the static batch sizes, 1 among them."""
    batches = []
    start = 0
    while start < len(tiles):
        size = max(size for size in sizes if size <= len(tiles) - start)
        batches.append(tiles[start : start + size])
        start += size
    return batches
