"""Tiles of an image at a scale: a grid of cells, each with a window that adds a halo.

All windows of a grid have the same size, a multiple of 4, so that a single compiled network serves
them all. At the image's edges they are moved inwards, so that they contain real pixels instead of
padding. Shape legend: H, W rows and columns of an image in pixels; h, w those of a map at
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
    """A cell (rows and columns) and its window's corner, in pixels of the padded image."""

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
    """Cells that cover an image of this size, in row-major order."""

    size_hw: SizeHW
    window_hw: SizeHW
    grid_hw: SizeHW
    tiles: tuple[Tile, ...]

    @cached_property
    def padded_hw(self) -> SizeHW:
        """The image's size, rounded up to a multiple of 4."""
        return _round_up(self.size_hw[0], QUARTER), _round_up(self.size_hw[1], QUARTER)

    @property
    def map_hw(self) -> SizeHW:
        """Size of the image's map at 1/4 resolution."""
        return self.padded_hw[0] // QUARTER, self.padded_hw[1] // QUARTER

    @property
    def window_share(self) -> float:
        """Pixels of a window, halo included, relative to those of the image."""
        return self.window_hw[0] * self.window_hw[1] / (self.size_hw[0] * self.size_hw[1])

    def fit(self, image_HWC: np.ndarray) -> np.ndarray:
        """Resize an image to the grid's size and pad it."""
        if image_HWC.shape[:2] != self.size_hw:
            size = self.size_hw[::-1]
            image_HWC = cv2.resize(image_HWC, size, interpolation=cv2.INTER_LINEAR)
        below, beside = (p - s for p, s in zip(self.padded_hw, self.size_hw, strict=True))
        if below or beside:
            image_HWC = cv2.copyMakeBorder(image_HWC, 0, below, 0, beside, cv2.BORDER_REPLICATE)
        return image_HWC

    def cut(self, padded_HWC: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
        """Return windows_THWC of the chosen tiles of an image from `fit`."""
        height, width = self.window_hw
        windows = np.empty((len(chosen), height, width, 3), np.uint8)
        for window_HWC, index in zip(windows, chosen, strict=True):
            top, left = self.tiles[index].window_top, self.tiles[index].window_left
            window_HWC[:] = padded_HWC[top : top + height, left : left + width]
        return windows

    def average(self, map_hw: np.ndarray) -> np.ndarray:
        """Return the mean of a map, of any size, over each cell: shape (T,)."""
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
    """Return a grid of cells with sides of about `cell_px` and a halo of about `halo_px`."""
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
    """Return the edges of cells of about equal size, at multiples of 4."""
    padded = _round_up(length, QUARTER)
    count = max(1, round(length / cell_px))
    step = padded / count / QUARTER
    return [round(index * step) * QUARTER for index in range(count)] + [padded]


def _find_window(edges: list[int], halo_px: int) -> int:
    longest = max(right - left for left, right in itertools.pairwise(edges))
    return min(_round_up(longest + 2 * halo_px, STRIDE_PX), edges[-1])


def _place_window(start: int, end: int, window: int, length: int) -> int:
    """Return the window's start: centred on the cell, but within the image."""
    before = (window - (end - start)) // 2 // QUARTER * QUARTER
    return min(max(0, start - before), length - window)


def _round_up(length: int, step: int) -> int:
    return -(-length // step) * step
