"""What one camera's last frames left behind: tiles that may be used again."""

import cv2
import numpy as np

from proxia_segmentation_ros.backends.pruned.tiles import TileGrid
from proxia_segmentation_ros.config import SizeHW

# A tile has changed when so many of its pixels differ by more grey levels than this from what
# they were when the tile ran: a person far away is few pixels, noise is many but small ones.
PIXEL_DRIFT = 10
MAX_DRIFTED = 0.005
NEVER = -(1 << 30)


def shrink_to_grey(image_HWC: np.ndarray) -> np.ndarray:
    """Return the image as grey_hw at 1/4 resolution, averaged, so that noise does not count."""
    height, width = image_HWC.shape[:2]
    size = (max(1, width // 4), max(1, height // 4))
    small_hwC = cv2.resize(image_HWC, size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small_hwC, cv2.COLOR_RGB2GRAY)


class TileCache:
    """Maps of one scale, each tile from the frame in which it last ran."""

    def __init__(self, grid: TileGrid, classes: int) -> None:
        height, width = grid.map_hw
        self._grid = grid
        self._logits_1Khw = np.zeros((1, classes, height, width), np.float32)
        self._attention_11hw = np.zeros((1, 1, height, width), np.float32)
        self._ran_T = np.full(len(grid.tiles), NEVER)
        self._frame = 0
        self._grey_hw: np.ndarray | None = None
        self._seen_hw: np.ndarray | None = None

    def begin_frame(self, frame: int, grey_hw: np.ndarray | None) -> None:
        """Take the number of the next frame and its grey image; without one nothing is reused."""
        self._frame, self._grey_hw = frame, grey_hw
        if grey_hw is None:
            self._ran_T[:] = NEVER
        elif self._seen_hw is None:
            self._ran_T[:] = NEVER
            self._seen_hw = grey_hw.copy()

    def find_reusable(self, max_age: int) -> set[int]:
        """Return tiles that ran at most so many frames ago on pixels that are still the same."""
        is_young_T = self._frame - self._ran_T <= max_age
        if self._grey_hw is None or self._seen_hw is None or not is_young_T.any():
            return set()
        has_drifted_hw = cv2.absdiff(self._grey_hw, self._seen_hw) > PIXEL_DRIFT
        drifted_T = self._grid.average(has_drifted_hw.astype(np.float32))
        return set(np.flatnonzero(is_young_T & (drifted_T <= MAX_DRIFTED)).tolist())

    def list_run_tiles(self) -> set[int]:
        """Return tiles that ran in this frame."""
        return set(np.flatnonzero(self._ran_T == self._frame).tolist())

    def put(self, index: int, logits_Khw: np.ndarray, attention_hw: np.ndarray | None) -> None:
        """Keep the cell of a tile out of the maps of its window."""
        tile = self._grid.tiles[index]
        place, source = tile.in_map, tile.in_window_map
        self._logits_1Khw[(0, slice(None), *place)] = logits_Khw[(slice(None), *source)]
        if attention_hw is not None:
            self._attention_11hw[(0, 0, *place)] = attention_hw[source]
        self._ran_T[index] = self._frame
        if self._seen_hw is not None and self._grey_hw is not None:
            area = _scale_area(place, self._grid.map_hw, self._seen_hw.shape)
            self._seen_hw[area] = self._grey_hw[area]

    def put_full_image(self, logits_1Khw: np.ndarray, attention_11hw: np.ndarray | None) -> None:
        """Keep every tile of a pass over the whole image."""
        self._logits_1Khw[:] = logits_1Khw
        if attention_11hw is not None:
            self._attention_11hw[:] = attention_11hw
        self._ran_T[:] = self._frame
        if self._seen_hw is not None and self._grey_hw is not None:
            self._seen_hw[:] = self._grey_hw

    def read(self, tiles: set[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return logits_1Khw, attention_11hw, and has_run_11hw, 1 at these tiles."""
        has_run_11hw = np.zeros_like(self._attention_11hw)
        for index in tiles:
            has_run_11hw[(0, 0, *self._grid.tiles[index].in_map)] = 1
        return self._logits_1Khw, self._attention_11hw, has_run_11hw


def _scale_area(
    area: tuple[slice, slice], from_hw: SizeHW, to_hw: tuple[int, ...]
) -> tuple[slice, slice]:
    rows, columns = (
        slice(round(one.start * to / size), round(one.stop * to / size))
        for one, size, to in zip(area, from_hw, to_hw, strict=True)
    )
    return rows, columns
