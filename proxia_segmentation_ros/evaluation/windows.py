"""Sliding windows: segment images that do not fit into memory window by window.

Shape legend: N images, C channels or classes, H rows, W columns.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from proxia_segmentation_ros.config import (
    MAX_SIZE_PIXELS,
    MIN_SIDE_PX,
    SizeHW,
    is_size_usable,
    parse_size,
)
from proxia_segmentation_ros.errors import ConfigError

MAX_OVERLAP = 0.9
# From an image to maps of its size.
Network: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Windows:
    """Windows of one size in rows and columns; neighbours share at least `overlap` of a side.

    The last window of a row or column is shifted inward, so that all windows have the same size
    and none needs padding.
    """

    size_hw: SizeHW
    overlap: float

    def __post_init__(self) -> None:
        height, width = self.size_hw
        if not is_size_usable(self.size_hw):
            raise ConfigError.from_parts(
                f"window is {width}x{height}",
                f"at least {MIN_SIDE_PX} px a side and at most {MAX_SIZE_PIXELS} pixels",
                "write for example 1024x1024",
            )
        if not 0 <= self.overlap <= MAX_OVERLAP:
            raise ConfigError.from_parts(
                f"overlap is {self.overlap}",
                f"a share of the window's side from 0 to {MAX_OVERLAP}",
                "write for example 0.25",
            )

    def fits_in_one(self, size_hw: SizeHW) -> bool:
        """Whether an image of this size fits into one window."""
        return all(side <= most for side, most in zip(size_hw, self.size_hw, strict=True))

    def place(self, size_hw: SizeHW) -> list[tuple[slice, slice]]:
        """Return the rows and columns of every window on an image, row by row."""
        rows, columns = (
            self._place_along(side, most) for side, most in zip(size_hw, self.size_hw, strict=True)
        )
        return [(row, column) for row in rows for column in columns]

    def compute_maps(self, network: Network, image_NCHW: Tensor) -> Tensor:
        """Return the network's maps of the whole image, averaged where windows overlap.

        An image that fits into one window is passed to the network unchanged.
        """
        size_hw = (image_NCHW.shape[-2], image_NCHW.shape[-1])
        if self.fits_in_one(size_hw):
            return network(image_NCHW)
        total: Tensor | None = None
        count_HW = torch.zeros(size_hw, device=image_NCHW.device)
        for rows, columns in self.place(size_hw):
            part = network(image_NCHW[..., rows, columns])
            if total is None:
                total = part.new_zeros(*part.shape[:2], *size_hw)
            total[..., rows, columns] += part
            count_HW[rows, columns] += 1
        if total is None:
            raise ValueError(f"no window on an image of {size_hw}")
        return total.div_(count_HW)

    def _place_along(self, side: int, window: int) -> list[slice]:
        if side <= window:
            return [slice(0, side)]
        step = max(1, window - math.ceil(window * self.overlap))
        last = side - window
        starts = [*range(0, last, step), last]
        return [slice(start, start + window) for start in starts]


def parse_windows(text: str, overlap: float) -> Windows | None:
    """Parse `WxH`; return None for an empty text.

    Raises:
        ConfigError: the text is no size or out of its range.
    """
    if not text:
        return None
    size_hw = parse_size(text)
    if size_hw is None:
        raise ConfigError.from_parts(f"window is {text!r}", "WxH such as 1024x1024", "correct it")
    return Windows(size_hw, overlap)
