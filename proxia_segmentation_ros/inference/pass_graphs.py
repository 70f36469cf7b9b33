"""Passes at single scales and their fusing as torch modules; backends compile or run them.

Maps are at 1/4 resolution of their scale's image. Shape legend: N images, T tiles, H rows,
W columns, C colour channels, K classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.inference.torch_graph import NetworkGraph
from proxia_segmentation_ros.model.blocks import resize_bilinear
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.networks import HRNetOcrMultiScale
from proxia_segmentation_ros.model.scale_attention import fuse_maps, scale_size


class WholePassGraph(NetworkGraph):
    """RGB image_NHWC (uint8) at network size in; logits, attention and context of one scale out."""

    def __init__(self, model: nn.Module, card: ModelCard, scale: float) -> None:
        super().__init__(model, card, (scale,))
        self.scale = scale

    def forward(self, image_NHWC: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        size_hw = scale_size((image_NHWC.shape[1], image_NHWC.shape[2]), self.scale)
        image_NCHW = resize_bilinear(self.normalise(image_NHWC), size_hw)
        return self._see(image_NCHW, None)

    def _see(self, image_NCHW: Tensor, context_NCK1: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        network = self.network
        if not isinstance(network, HRNetOcrMultiScale):
            raise TypeError(f"a network without scale attention: {type(network).__name__}")
        return tuple(network.forward_part(image_NCHW, context_NCK1))


class TilePassGraph(WholePassGraph):
    """RGB windows_THWC (uint8) and the context of their image in; logits and attention out."""

    def __init__(self, model: nn.Module, card: ModelCard) -> None:
        super().__init__(model, card, 1.0)

    def forward(  # type: ignore[override]
        self, windows_THWC: Tensor, context_NCK1: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self._see(self.normalise(windows_THWC), context_NCK1)[:2]


class ExactFusing(nn.Module):
    """Whole passes fused as the network itself does: logits_NKHW of the network's size out.

    The maps come as logits and attention of each scale, from the smallest scale up.
    """

    def __init__(self, scales: Sequence[float], network_hw: SizeHW) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.network_hw = network_hw

    def forward(self, *maps: Tensor) -> Tensor:
        logits, attention = {}, {}
        for index, scale in enumerate(self.scales):
            size_hw = scale_size(self.network_hw, scale)
            logits[scale] = resize_bilinear(maps[2 * index], size_hw)
            attention[scale] = resize_bilinear(maps[2 * index + 1], size_hw)
        return fuse_maps(logits, attention)


class QuickFusing(nn.Module):
    """Passes fused on the map of the largest scale; logits_NKHW of that map's size out.

    The maps come as logits and `keep` of each scale, from the smallest scale up. `keep` has the
    size of the next larger scale's map: the weight there of all that is larger. The largest
    scale has none.
    """

    def forward(self, *maps: Tensor) -> Tensor:
        *lower, fused = maps
        size_hw = (fused.shape[-2], fused.shape[-1])
        for index in range(len(lower) - 2, -1, -2):
            own = resize_bilinear(lower[index], size_hw)
            fused = own + resize_bilinear(lower[index + 1], size_hw) * (fused - own)
        return fused


def make_whole_example(network_hw: SizeHW) -> tuple[Tensor, ...]:
    """Return an input of `WholePassGraph`."""
    return (torch.zeros((1, *network_hw, 3), dtype=torch.uint8),)


def make_tile_example(
    window_hw: SizeHW, batch: int, context_shape: tuple[int, ...]
) -> tuple[Tensor, ...]:
    """Return inputs of `TilePassGraph`; tiles of one batch belong to one image."""
    windows_THWC = torch.zeros((batch, *window_hw, 3), dtype=torch.uint8)
    return windows_THWC, torch.zeros((batch, *context_shape[1:]))
