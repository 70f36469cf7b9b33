"""Passes at single scales in eager PyTorch, against which compiled ones are tested."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from proxia_segmentation_ros.backends.contract import FramePlan, LabelledImage
from proxia_segmentation_ros.backends.graph.pass_graphs import (
    ExactFusion,
    FullImagePassGraph,
    GatingScore,
    LastOfTwo,
    LastScale,
    NextScale,
    TilePassGraph,
)
from proxia_segmentation_ros.backends.scale_passes import FusedMaps, ScaleMaps, list_maps
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.model.card import ModelCard

LabelLogits = Callable[[torch.Tensor, FramePlan, float], LabelledImage]


class TorchPasses:
    """`ScalePasses` without compilation; `label_logits` is the argmax post-processing."""

    tile_batches: tuple[int, ...] = (1, 2, 4)

    def __init__(
        self,
        model: torch.nn.Module,
        card: ModelCard,
        network_hw: SizeHW,
        label_logits: LabelLogits,
        autocast: Callable[[], contextlib.AbstractContextManager[Any]],
    ) -> None:
        self._model = model
        self._card = card
        self._network_hw = network_hw
        self._label_logits = label_logits
        self._autocast = autocast

    def run_full_image(self, image_HWC: np.ndarray, scale: float, *, is_largest: bool) -> ScaleMaps:
        """Run the full image, given at network size, at a scale."""
        graph = FullImagePassGraph(self._model, self._card, scale, with_attention=not is_largest)
        return ScaleMaps(*self._run(graph.eval(), image_HWC[None]))

    def run_tiles(
        self, windows_THWC: np.ndarray, context_1CK1: np.ndarray, *, is_largest: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return logits_TKhw and attention_T1hw."""
        graph = TilePassGraph(self._model, self._card, with_attention=not is_largest)
        context_TCK1 = np.repeat(context_1CK1, len(windows_THWC), 0)
        found = self._run(graph.eval(), windows_THWC, context_TCK1)
        return found[0], None if is_largest else found[1]

    def start_fusion(self, maps: ScaleMaps) -> FusedMaps:
        """Return the smallest scale as the first fused maps, with its gating score."""
        weight, gating = self._run_exactly(GatingScore(), *list_maps(maps))
        return FusedMaps(maps.logits_1Khw, maps.logits_1Khw, weight, gating)

    def fuse(
        self,
        before: FusedMaps,
        logits_1Khw: np.ndarray,
        attention_11hw: np.ndarray,
        has_run_11hw: np.ndarray,
    ) -> FusedMaps:
        """Fuse a larger scale where it has run."""
        given = (before.fused_1Khw, before.logits_1Khw, before.weight_11hw)
        fused, weight, gating = self._run_exactly(
            NextScale(), *given, logits_1Khw, attention_11hw, has_run_11hw
        )
        return FusedMaps(fused, logits_1Khw, weight, gating)

    def fuse_last(
        self, before: FusedMaps, logits_1Khw: np.ndarray, has_run_11hw: np.ndarray
    ) -> np.ndarray:
        """Fuse the largest scale where it has run; return fused_1Khw."""
        found = (before.weight_11hw, logits_1Khw, has_run_11hw)
        if before.fused_1Khw is before.logits_1Khw:
            return self._run_exactly(LastOfTwo(), before.fused_1Khw, *found)[0]
        return self._run_exactly(LastScale(), before.fused_1Khw, before.logits_1Khw, *found)[0]

    def fuse_full_images(self, maps: dict[float, ScaleMaps]) -> np.ndarray:
        """Fuse full-image passes exactly as the network does; return logits_1KHW of its size."""
        scales = sorted(maps)
        given = [array for scale in scales for array in list_maps(maps[scale])]
        return self._run_exactly(ExactFusion(scales, self._network_hw), *given)[0]

    def label(
        self, logits_1Khw: np.ndarray, plan: FramePlan, min_confidence: float
    ) -> LabelledImage:
        """Run the argmax post-processing on logits of any size."""
        with torch.inference_mode():
            return self._label_logits(torch.from_numpy(logits_1Khw), plan, min_confidence)

    def _run(self, graph: torch.nn.Module, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run in the backend's precision and return float32."""
        with self._autocast():
            return self._run_exactly(graph, *arrays)

    @staticmethod
    def _run_exactly(graph: torch.nn.Module, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        with torch.inference_mode():
            found = graph(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))
        results = found if isinstance(found, tuple) else (found,)
        return tuple(tensor.float().numpy() for tensor in results)
