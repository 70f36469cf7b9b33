"""Tiles of an image at one scale: a grid of cells, each seen through a window with a halo.

All windows of a grid have one size, a multiple of 4, so that one compiled
network serves them all; at the image's edges they are moved inwards, where the halo is of real
pixels too. Shape legend: H, W rows and columns of an image in pixels; h, w those of a map at
1/4 resolution; T tiles; C colour channels.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from proxia_segmentation_ros.config import SizeHW

STRIDE_PX = 32
QUARTER = 4


@dataclass(frozen=True)
class Tile:
    """Places in pixels of the padded image: rows and columns of the cell, corner of its window."""

    top: int
    bottom: int
    left: int
    right: int
    window_top: int
    window_left: int

    @property
    def in_map(self) -> tuple[slice, slice]:
        """Rows and columns of the cell in a map at 1/4 resolution."""
        return (
            slice(self.top // QUARTER, self.bottom // QUARTER),
            slice(self.left // QUARTER, self.right // QUARTER),
        )

    @property
    def in_window_map(self) -> tuple[slice, slice]:
        """Rows and columns of the cell in the map of its window."""
        down, right = self.window_top, self.window_left
        return (
            slice((self.top - down) // QUARTER, (self.bottom - down) // QUARTER),
            slice((self.left - right) // QUARTER, (self.right - right) // QUARTER),
        )


@dataclass(frozen=True)
class TileGrid:
    """Cells that cover an image of this size, row by row."""

    size_hw: SizeHW
    window_hw: SizeHW
    grid_hw: SizeHW
    tiles: tuple[Tile, ...]

    @cached_property
    def padded_hw(self) -> SizeHW:
        """The image's size rounded up to whole pixels of its map."""
        return _round_up(self.size_hw[0], QUARTER), _round_up(self.size_hw[1], QUARTER)

    @property
    def map_hw(self) -> SizeHW:
        """Size of the image's map at 1/4 resolution."""
        return self.padded_hw[0] // QUARTER, self.padded_hw[1] // QUARTER

    @property
    def window_share(self) -> float:
        """Pixels of one window, halo included, against those of the whole image."""
        return self.window_hw[0] * self.window_hw[1] / (self.size_hw[0] * self.size_hw[1])

    def fit(self, image_HWC: np.ndarray) -> np.ndarray:
        """Return an image resized to the grid's size, and padded."""
        if image_HWC.shape[:2] != self.size_hw:
            size = self.size_hw[::-1]
            image_HWC = cv2.resize(image_HWC, size, interpolation=cv2.INTER_LINEAR)
        below, beside = (p - s for p, s in zip(self.padded_hw, self.size_hw, strict=True))
        if below or beside:
            image_HWC = cv2.copyMakeBorder(image_HWC, 0, below, 0, beside, cv2.BORDER_REPLICATE)
        return image_HWC

    def cut(self, padded_HWC: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
        """Return windows_THWC of the chosen tiles of an image that `fit` made."""
        height, width = self.window_hw
        windows = np.empty((len(chosen), height, width, 3), np.uint8)
        for window_HWC, index in zip(windows, chosen, strict=True):
            top, left = self.tiles[index].window_top, self.tiles[index].window_left
            window_HWC[:] = padded_HWC[top : top + height, left : left + width]
        return windows

    def average(self, map_hw: np.ndarray) -> np.ndarray:
        """Return the mean of a map, of any size, over each tile's cell, as (T,)."""
        rows, columns = (edges // QUARTER for edges in self._edges)
        if map_hw.shape != self.map_hw:
            map_hw = cv2.resize(map_hw, self.map_hw[::-1], interpolation=cv2.INTER_LINEAR)
        sums = np.add.reduceat(np.add.reduceat(map_hw, rows[:-1], 0), columns[:-1], 1)
        areas = np.outer(np.diff(rows), np.diff(columns))
        return np.asarray((sums / areas).ravel(), np.float32)

    @cached_property
    def _edges(self) -> tuple[np.ndarray, np.ndarray]:
        across = self.grid_hw[1]
        rows = [*(tile.top for tile in self.tiles[::across]), self.tiles[-1].bottom]
        columns = [*(tile.left for tile in self.tiles[:across]), self.tiles[-1].right]
        return np.array(rows), np.array(columns)


def make_grid(size_hw: SizeHW, cell_px: int, halo_px: int) -> TileGrid:
    """Return cells of about `cell_px` a side, each with a halo of about `halo_px` around it."""
    rows = _split(size_hw[0], cell_px)
    columns = _split(size_hw[1], cell_px)
    window_hw = _find_window(rows, halo_px), _find_window(columns, halo_px)
    tiles = tuple(
        Tile(
            top,
            bottom,
            left,
            right,
            _place_window(top, bottom, window_hw[0], rows[-1]),
            _place_window(left, right, window_hw[1], columns[-1]),
        )
        for top, bottom in itertools.pairwise(rows)
        for left, right in itertools.pairwise(columns)
    )
    return TileGrid(size_hw, window_hw, (len(rows) - 1, len(columns) - 1), tiles)


def _split(length: int, cell_px: int) -> list[int]:
    """Return the edges of even cells, at whole pixels of the map."""
    padded = _round_up(length, QUARTER)
    count = max(1, round(length / cell_px))
    step = padded / count / QUARTER
    return [round(index * step) * QUARTER for index in range(count)] + [padded]


def _find_window(edges: list[int], halo_px: int) -> int:
    longest = max(right - left for left, right in itertools.pairwise(edges))
    return min(_round_up(longest + 2 * halo_px, STRIDE_PX), edges[-1])


def _place_window(start: int, end: int, window: int, length: int) -> int:
    """Centre the window on the cell as far as the image allows."""
    before = (window - (end - start)) // 2 // QUARTER * QUARTER
    return min(max(0, start - before), length - window)


def _round_up(length: int, step: int) -> int:
    return -(-length // step) * step
