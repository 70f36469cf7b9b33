"""Which tiles run, and in which batches."""

from typing import Any

import numpy as np
import pytest

from proxia_segmentation_ros.backends.pruned.tile_selection import (
    NO_PRUNING,
    Pruning,
    choose_tiles,
    split_into_batches,
)
from proxia_segmentation_ros.errors import ConfigError


def test_the_neediest_tiles_come_first_and_those_below_the_threshold_not_at_all() -> None:
    gating_T = np.array([0.1, 0.5, 0.05, 0.3], np.float32)
    assert choose_tiles(gating_T, 0.1) == [1, 3, 0]
    assert choose_tiles(gating_T, 0.6) == []


def test_threshold_0_chooses_tiles_without_any_demand_too() -> None:
    assert choose_tiles(np.zeros(3, np.float32), 0.0) == [0, 1, 2]


@pytest.mark.parametrize(
    ("count", "sizes", "wanted"),
    [(7, (1, 2, 4), [4, 2, 1]), (9, (1, 2, 4), [4, 4, 1]), (3, (1,), [1, 1, 1]), (0, (1, 2), [])],
)
def test_batches_have_the_static_sizes_and_hold_every_tile(
    count: int, sizes: tuple[int, ...], wanted: list[int]
) -> None:
    batches = split_into_batches(range(count), sizes)
    assert [len(batch) for batch in batches] == wanted
    assert [tile for batch in batches for tile in batch] == list(range(count))


@pytest.mark.parametrize("name", ["tile_threshold", "tile_budget", "latency_budget_ms"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), 1e6])
def test_settings_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError, match=name):
        Pruning(**changes).check()


def test_only_what_leaves_nothing_out_is_off() -> None:
    assert NO_PRUNING.is_off
    assert not Pruning(tile_threshold=0.0, latency_budget_ms=50.0).is_off
    assert not Pruning(tile_threshold=0.0, tile_budget=0.5).is_off
    assert not Pruning(tile_threshold=0.1).is_off
