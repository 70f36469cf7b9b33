"""The interface between attention-pruned inference and a backend: passes at single scales.

Shape legend: T tiles, K classes, C channels, H rows and W columns, h rows and w columns of a
map at 1/4 resolution.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from proxia_segmentation_ros.backends.contract import FramePlan, LabelledImage


@dataclass(frozen=True)
class ScaleMaps:
    """Output of a pass over the full image at one scale; the next such pass overwrites it.

    The largest scale has no attention map.
    """

    logits_1Khw: np.ndarray
    context_1CK1: np.ndarray
    attention_11hw: np.ndarray | None = None


@dataclass(frozen=True)
class FusedMaps:
    """Scales fused so far, at the resolution of the largest of them.

    `logits_1Khw` are the logits of that largest scale alone, `weight_11hw` is the share of the
    result that the still larger scales would have, `gating_11hw` that share times the uncertainty
    about the best class.
    """

    fused_1Khw: np.ndarray
    logits_1Khw: np.ndarray
    weight_11hw: np.ndarray
    gating_11hw: np.ndarray


class ScalePasses(Protocol):
    """Passes over images of one size; every graph has static shapes and is compiled on first use.

    All methods may raise BackendError.
    """

    # Supported numbers of tiles in a batch, ascending, 1 among them.
    tile_batches: tuple[int, ...]

    def run_full_image(self, image_HWC: np.ndarray, scale: float, *, is_largest: bool) -> ScaleMaps:
        """Run the full image, given at network size, at a scale."""

    def run_tiles(
        self, windows_THWC: np.ndarray, context_1CK1: np.ndarray, *, is_largest: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Run a batch of tiles; return logits_TKhw and attention_T1hw."""

    def start_fusion(self, maps: ScaleMaps) -> FusedMaps:
        """Return the smallest scale as the first fused maps, with its gating score."""

    def fuse(
        self,
        before: FusedMaps,
        logits_1Khw: np.ndarray,
        attention_11hw: np.ndarray,
        has_run_11hw: np.ndarray,
    ) -> FusedMaps:
        """Fuse a larger scale into the pixels where `has_run_11hw` is 1; it is 0 elsewhere."""

    def fuse_last(
        self, before: FusedMaps, logits_1Khw: np.ndarray, has_run_11hw: np.ndarray
    ) -> np.ndarray:
        """Fuse the largest scale where it has run; return fused_1Khw."""

    def fuse_full_images(self, maps: dict[float, ScaleMaps]) -> np.ndarray:
        """Fuse full-image passes exactly as the network does; return logits_1KHW of its size."""

    def label(
        self, logits_1Khw: np.ndarray, plan: FramePlan, min_confidence: float
    ) -> LabelledImage:
        """Run the argmax post-processing on logits of any size."""


def list_maps(maps: ScaleMaps) -> tuple[np.ndarray, ...]:
    """Return the logits and, unless it is the largest scale, the attention."""
    if maps.attention_11hw is None:
        return (maps.logits_1Khw,)
    return maps.logits_1Khw, maps.attention_11hw
