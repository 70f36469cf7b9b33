"""Grids of tiles: cells cover the image once, windows hold their cell and lie inside."""

import numpy as np
import pytest
from tiny_network import draw_image

from proxia_segmentation_ros.backends.pruned.tiles import TileGrid, make_grid

SIZES = [(352, 480), (704, 960), (97, 131), (33, 40), (360, 480), (101, 16)]


@pytest.fixture(params=SIZES, ids=str)
def grid(request: pytest.FixtureRequest) -> TileGrid:
    return make_grid(request.param, 64, 16)


def test_cells_cover_every_pixel_of_the_map_once(grid: TileGrid) -> None:
    count = np.zeros(grid.map_hw, int)
    for tile in grid.tiles:
        count[tile.in_map] += 1
    assert (count == 1).all()
    assert len(grid.tiles) == grid.grid_hw[0] * grid.grid_hw[1]


def test_map_has_the_size_of_two_strided_convolutions(grid: TileGrid) -> None:
    assert grid.map_hw == tuple((((side + 1) // 2) + 1) // 2 for side in grid.size_hw)


def test_windows_lie_inside_the_image_and_hold_their_cell(grid: TileGrid) -> None:
    height, width = grid.window_hw
    for tile in grid.tiles:
        assert 0 <= tile.window_top <= tile.top
        assert 0 <= tile.window_left <= tile.left
        assert tile.bottom <= tile.window_top + height <= grid.padded_hw[0]
        assert tile.right <= tile.window_left + width <= grid.padded_hw[1]
        assert tile.window_top % 4 == tile.window_left % 4 == 0


def test_cells_inside_the_image_have_their_halo_on_every_side() -> None:
    grid = make_grid((704, 960), 192, 32)
    inner = [
        tile for tile in grid.tiles if tile.top > 0 and tile.bottom < 704 and 0 < tile.left < 700
    ]
    assert inner
    for tile in inner:
        assert tile.top - tile.window_top >= 32 - 4
        assert tile.window_top + grid.window_hw[0] - tile.bottom >= 32 - 4
        assert tile.left - tile.window_left >= 32 - 4


def test_cut_windows_put_together_are_the_image(grid: TileGrid) -> None:
    image_HWC = draw_image(*grid.size_hw)
    windows_THWC = grid.cut(grid.fit(image_HWC), range(len(grid.tiles)))
    made_HWC = np.zeros((*grid.padded_hw, 3), np.uint8)
    for window_HWC, tile in zip(windows_THWC, grid.tiles, strict=True):
        top, left = tile.top - tile.window_top, tile.left - tile.window_left
        cell = window_HWC[top : top + tile.bottom - tile.top, left : left + tile.right - tile.left]
        made_HWC[tile.top : tile.bottom, tile.left : tile.right] = cell
    height, width = grid.size_hw
    assert (made_HWC[:height, :width] == image_HWC).all()
    assert (made_HWC[height:] == made_HWC[height - 1]).all()


def test_places_in_window_maps_match_places_in_the_image_map() -> None:
    grid = make_grid((97, 131), 48, 8)
    rows_hw = np.arange(grid.map_hw[0])[:, None] * np.ones(grid.map_hw[1], int)
    for tile in grid.tiles:
        window_hw = rows_hw[tile.window_top // 4 :, tile.window_left // 4 :]
        assert (window_hw[tile.in_window_map] == rows_hw[tile.in_map]).all()


def test_average_is_the_mean_of_each_cell(grid: TileGrid) -> None:
    map_hw = np.random.default_rng(1).random(grid.map_hw, np.float32)
    wanted = [map_hw[tile.in_map].mean() for tile in grid.tiles]
    np.testing.assert_allclose(grid.average(map_hw), wanted, rtol=1e-4)


def test_average_of_a_smaller_map_is_of_its_enlargement() -> None:
    grid = make_grid((128, 128), 64, 16)
    quadrants_hw = np.kron(np.array([[0, 1], [2, 3]], np.float32), np.ones((4, 4), np.float32))
    found = grid.average(quadrants_hw)
    assert np.argsort(found).tolist() == [0, 1, 2, 3]
    assert found.mean() == pytest.approx(1.5, abs=0.01)


def test_images_of_another_size_are_fitted() -> None:
    grid = make_grid((97, 131), 48, 8)
    assert grid.fit(draw_image(50, 60)).shape == (100, 132, 3)
