"""What tiles of the last frames may be used again."""

import numpy as np
import pytest
from tiny_network import draw_image

from proxia_segmentation_ros.backends.pruned.tile_cache import TileCache, shrink_to_grey
from proxia_segmentation_ros.backends.pruned.tiles import make_grid

GRID = make_grid((128, 128), 64, 16)
ALL = {0, 1, 2, 3}


def make_maps(value: float) -> tuple[np.ndarray, np.ndarray]:
    return np.full((1, 5, 32, 32), value, np.float32), np.full((1, 1, 32, 32), value, np.float32)


@pytest.fixture
def grey_hw() -> np.ndarray:
    return shrink_to_grey(draw_image(128, 128))


@pytest.fixture
def memory(grey_hw: np.ndarray) -> TileCache:
    memory = TileCache(GRID, 5)
    memory.begin_frame(1, grey_hw)
    memory.put_full_image(*make_maps(1.0))
    return memory


def test_nothing_is_fresh_before_anything_ran(grey_hw: np.ndarray) -> None:
    memory = TileCache(GRID, 5)
    memory.begin_frame(1, grey_hw)
    assert memory.find_reusable(10) == set()
    assert memory.list_run_tiles() == set()


def test_unchanged_tiles_are_fresh_up_to_their_age(memory: TileCache, grey_hw: np.ndarray) -> None:
    memory.begin_frame(4, grey_hw)
    assert memory.find_reusable(3) == ALL
    assert memory.list_run_tiles() == set()
    memory.begin_frame(5, grey_hw)
    assert memory.find_reusable(3) == set()


def test_a_tile_whose_pixels_changed_is_not_fresh(memory: TileCache, grey_hw: np.ndarray) -> None:
    changed_hw = grey_hw.copy()
    # A person far away, in the last tile.
    changed_hw[24:27, 24:26] ^= 128
    memory.begin_frame(2, changed_hw)
    assert memory.find_reusable(3) == {0, 1, 2}


def test_noise_changes_nothing(memory: TileCache, grey_hw: np.ndarray) -> None:
    noise_hw = np.random.default_rng(0).integers(-4, 5, grey_hw.shape)
    memory.begin_frame(2, np.clip(grey_hw + noise_hw, 0, 255).astype(np.uint8))
    assert memory.find_reusable(3) == ALL


def test_slow_drift_counts_from_the_frame_in_which_the_tile_ran(
    memory: TileCache, grey_hw: np.ndarray
) -> None:
    fresh = []
    for frame in range(2, 8):
        drifted_hw = np.clip(grey_hw.astype(int) + 3 * (frame - 1), 0, 255).astype(np.uint8)
        memory.begin_frame(frame, drifted_hw)
        fresh.append(memory.find_reusable(100))
    assert fresh[0] == ALL
    assert fresh[-1] == set()


def test_a_tile_that_ran_anew_is_fresh_alone(memory: TileCache, grey_hw: np.ndarray) -> None:
    other_hw = 255 - grey_hw
    memory.begin_frame(2, other_hw)
    assert memory.find_reusable(3) == set()
    memory.put(2, np.full((5, *(side // 4 for side in GRID.window_hw)), 7.0, np.float32), None)
    memory.begin_frame(3, other_hw)
    assert memory.find_reusable(3) == {2}
    logits_1Khw, _, has_run_11hw = memory.read({2})
    there = logits_1Khw[0, 0][has_run_11hw[0, 0] == 1]
    assert (there == 7.0).all()
    assert there.size == 32 * 32 // 4


def test_without_video_nothing_is_used_again(memory: TileCache, grey_hw: np.ndarray) -> None:
    memory.begin_frame(2, None)
    assert memory.find_reusable(10) == set()
    memory.begin_frame(3, grey_hw)
    assert memory.find_reusable(10) == set()


def test_tiles_that_are_read_are_marked_and_others_are_not(memory: TileCache) -> None:
    logits_1Khw, attention_11hw, has_run_11hw = memory.read({1})
    assert logits_1Khw.shape == (1, 5, 32, 32)
    assert (attention_11hw == 1.0).all()
    assert (has_run_11hw[0, 0, :16, 16:] == 1).all()
    assert has_run_11hw.sum() == 16 * 16
