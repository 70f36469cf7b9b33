"""What attention-pruned inference asks of a backend: passes at one scale, and their fusing.

Shape legend: T tiles, K classes, C channels, H rows and W columns, h rows and w columns of a
map at 1/4 resolution.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from proxia_segmentation_ros.backends.contract import FramePlan, LabelledImage


@dataclass(frozen=True)
class ScaleMaps:
    """One scale's pass over a whole image, in memory that the next such pass overwrites.

    The largest scale has no attention.
    """

    logits_1Khw: np.ndarray
    context_1CK1: np.ndarray
    attention_11hw: np.ndarray | None = None


@dataclass(frozen=True)
class FusedMaps:
    """Scales fused on the map of the largest of them.

    `logits_1Khw` is that largest scale alone, `weight_11hw` the share of the result that still
    larger scales would have, `demand_11hw` that share times the doubt about the best class.
    """

    fused_1Khw: np.ndarray
    logits_1Khw: np.ndarray
    weight_11hw: np.ndarray
    demand_11hw: np.ndarray


class ScalePasses(Protocol):
    """Passes over images of one size; every graph has static shapes and is made on first use.

    All may raise BackendError.
    """

    # Tiles that can go through the network together, ascending, 1 among them.
    tile_batches: tuple[int, ...]

    def run_full_image(self, image_HWC: np.ndarray, scale: float, *, is_largest: bool) -> ScaleMaps:
        """Run the whole image, given at network size, at a scale."""

    def run_tiles(
        self, windows_THWC: np.ndarray, context_1CK1: np.ndarray, *, is_largest: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return logits_TKhw and attention_T1hw of as many tiles as a batch has."""

    def start_fusion(self, maps: ScaleMaps) -> FusedMaps:
        """Return the smallest scale alone, with its demand for the others."""

    def fuse(
        self,
        before: FusedMaps,
        logits_1Khw: np.ndarray,
        attention_11hw: np.ndarray,
        has_run_11hw: np.ndarray,
    ) -> FusedMaps:
        """Add a larger scale where it is there, 1 or 0."""

    def fuse_last(
        self, before: FusedMaps, logits_1Khw: np.ndarray, has_run_11hw: np.ndarray
    ) -> np.ndarray:
        """Add the largest scale where it is there; return fused_1Khw."""

    def fuse_full_images(self, maps: dict[float, ScaleMaps]) -> np.ndarray:
        """Return logits_1KHW of the network's size as the network itself fuses whole passes."""

    def label(
        self, logits_1Khw: np.ndarray, plan: FramePlan, min_confidence: float
    ) -> LabelledImage:
        """Read the labels off logits of any size."""


def list_maps(maps: ScaleMaps) -> tuple[np.ndarray, ...]:
    """Return logits and, where there is one, attention."""
    if maps.attention_11hw is None:
        return (maps.logits_1Khw,)
    return maps.logits_1Khw, maps.attention_11hw
