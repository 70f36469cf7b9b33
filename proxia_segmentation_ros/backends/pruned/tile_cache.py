"""Cache of a camera's tiles, to reuse them while their pixels do not change."""

import cv2
import numpy as np

from proxia_segmentation_ros.backends.pruned.tiles import TileGrid
from proxia_segmentation_ros.config import SizeHW

# A tile has changed if more than MAX_DRIFTED of its pixels differ by more than PIXEL_DRIFT grey
# levels from the frame in which it ran. A distant person is few pixels with large differences,
# noise is many pixels with small ones.
PIXEL_DRIFT = 10
MAX_DRIFTED = 0.005
NEVER = -(1 << 30)


def shrink_to_grey(image_HWC: np.ndarray) -> np.ndarray:
    """Return the image as grey_hw at 1/4 resolution; averaging suppresses noise."""
    height, width = image_HWC.shape[:2]
    size = (max(1, width // 4), max(1, height // 4))
    small_hwC = cv2.resize(image_HWC, size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small_hwC, cv2.COLOR_RGB2GRAY)


class TileCache:
    """Maps of a scale; each tile is from the frame in which it last ran."""

    def __init__(self, grid: TileGrid, classes: int) -> None:
        height, width = grid.map_hw
        self._grid = grid
        self._logits_1Khw = np.zeros((1, classes, height, width), np.float32)
        self._attention_11hw = np.zeros((1, 1, height, width), np.float32)
        self._ran_T = np.full(len(grid.tiles), NEVER)
        self._frame = 0
        self._grey_hw: np.ndarray | None = None
        self._reference_hw: np.ndarray | None = None

    def begin_frame(self, frame: int, grey_hw: np.ndarray | None) -> None:
        """Start a frame; without a grey image no tile is reused."""
        self._frame, self._grey_hw = frame, grey_hw
        if grey_hw is None:
            self._ran_T[:] = NEVER
        elif self._reference_hw is None:
            self._ran_T[:] = NEVER
            self._reference_hw = grey_hw.copy()

    def find_reusable(self, max_age: int) -> set[int]:
        """Return the tiles at most `max_age` frames old whose pixels have not changed since."""
        is_young_T = self._frame - self._ran_T <= max_age
        if self._grey_hw is None or self._reference_hw is None or not is_young_T.any():
            return set()
        has_drifted_hw = cv2.absdiff(self._grey_hw, self._reference_hw) > PIXEL_DRIFT
        drifted_T = self._grid.average(has_drifted_hw.astype(np.float32))
        return set(np.flatnonzero(is_young_T & (drifted_T <= MAX_DRIFTED)).tolist())

    def list_run_tiles(self) -> set[int]:
        """Return tiles that ran in this frame."""
        return set(np.flatnonzero(self._ran_T == self._frame).tolist())

    def put(self, index: int, logits_Khw: np.ndarray, attention_hw: np.ndarray | None) -> None:
        """Store a tile: the part of its window's maps that belongs to its cell."""
        tile = self._grid.tiles[index]
        place, source = tile.in_map, tile.in_window_map
        self._logits_1Khw[(0, slice(None), *place)] = logits_Khw[(slice(None), *source)]
        if attention_hw is not None:
            self._attention_11hw[(0, 0, *place)] = attention_hw[source]
        self._ran_T[index] = self._frame
        if self._reference_hw is not None and self._grey_hw is not None:
            area = _scale_area(place, self._grid.map_hw, self._reference_hw.shape)
            self._reference_hw[area] = self._grey_hw[area]

    def put_full_image(self, logits_1Khw: np.ndarray, attention_11hw: np.ndarray | None) -> None:
        """Store all tiles from a full-image pass."""
        self._logits_1Khw[:] = logits_1Khw
        if attention_11hw is not None:
            self._attention_11hw[:] = attention_11hw
        self._ran_T[:] = self._frame
        if self._reference_hw is not None and self._grey_hw is not None:
            self._reference_hw[:] = self._grey_hw

    def read(self, tiles: set[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return logits_1Khw, attention_11hw, and has_run_11hw, which is 1 within these tiles."""
        has_run_11hw = np.zeros_like(self._attention_11hw)
        for index in tiles:
            has_run_11hw[(0, 0, *self._grid.tiles[index].in_map)] = 1
        return self._logits_1Khw, self._attention_11hw, has_run_11hw


def _scale_area(
    area: tuple[slice, slice], from_hw: SizeHW, to_hw: tuple[int, ...]
) -> tuple[slice, slice]:
    rows, columns = (
        slice(round(side.start * to / size), round(side.stop * to / size))
        for side, size, to in zip(area, from_hw, to_hw, strict=True)
    )
    return rows, columns
