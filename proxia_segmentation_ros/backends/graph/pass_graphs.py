"""Passes at single scales and their fusing as torch modules; backends compile or run them.

Maps are at 1/4 resolution of their scale's image. Shape legend: N images, T tiles, H rows,
W columns, C colour channels, K classes.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from proxia_segmentation_ros.backends.graph.torch_graph import NetworkGraph
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.network.blocks import resize_bilinear
from proxia_segmentation_ros.model.network.hrnet_ocr import HRNetOcrMultiScale, QuarterPass
from proxia_segmentation_ros.model.network.scale_attention import fuse_maps, scale_size


class FullImagePassGraph(NetworkGraph):
    """RGB image_NHWC (uint8) at network size in; logits, context and attention of one scale out.

    The largest scale has no use for its attention: it comes without on request.
    """

    def __init__(
        self, model: nn.Module, card: ModelCard, scale: float, *, with_attention: bool
    ) -> None:
        super().__init__(model, card, (scale,))
        self.scale = scale
        self.with_attention = with_attention

    def forward(self, image_NHWC: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        size_hw = scale_size((image_NHWC.shape[1], image_NHWC.shape[2]), self.scale)
        image_NCHW = resize_bilinear(self.normalise(image_NHWC), size_hw)
        found = self._see(image_NCHW, None)
        maps = (found.logits_NKHW, found.context_NCK1)
        return (*maps, found.attention_N1HW) if self.with_attention else maps

    def _see(self, image_NCHW: Tensor, context_NCK1: Tensor | None) -> QuarterPass:
        network = self.network
        if not isinstance(network, HRNetOcrMultiScale):
            raise TypeError(f"a network without scale attention: {type(network).__name__}")
        return network.forward_part(image_NCHW, context_NCK1)


class TilePassGraph(FullImagePassGraph):
    """RGB windows_THWC (uint8) and the context of their image in; logits and attention out."""

    def __init__(self, model: nn.Module, card: ModelCard, *, with_attention: bool) -> None:
        super().__init__(model, card, 1.0, with_attention=with_attention)

    def forward(  # type: ignore[override]
        self, windows_THWC: Tensor, context_NCK1: Tensor
    ) -> tuple[Tensor, ...]:
        found = self._see(self.normalise(windows_THWC), context_NCK1)
        if self.with_attention:
            return found.logits_NKHW, found.attention_N1HW
        return (found.logits_NKHW,)


class ExactFusion(nn.Module):
    """Whole passes fused as the network itself does: logits_NKHW of the network's size out.

    The maps come as logits and attention of each scale, from the smallest scale up; the largest
    has no attention.
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
            if scale != self.scales[-1]:
                attention[scale] = resize_bilinear(maps[2 * index + 1], size_hw)
        return fuse_maps(logits, attention)


class Demand(nn.Module):
    """Logits and attention of a scale in; `weight` and `demand` of all that is larger out.

    `weight` is the share of the fused logits that larger scales would have. `demand` is that
    weight times the doubt about the best class so far: where one is sure, more weight for
    another scale changes nothing.
    """

    def forward(self, logits_NKHW: Tensor, attention_N1HW: Tensor) -> tuple[Tensor, Tensor]:
        weight_N1HW = 1 - attention_N1HW
        return weight_N1HW, weight_N1HW * measure_uncertainty(logits_NKHW)


class NextScale(nn.Module):
    """Add a larger scale to what is fused already, on the larger one's map.

    In come `fused`, `logits` and `weight` of the scale before, logits and attention of the
    larger one, and `is_there`, 1 where the larger one ran. Out come `fused`, `weight` and
    `demand`.
    """

    def forward(
        self,
        fused_NKhw: Tensor,
        logits_NKhw: Tensor,
        weight_N1hw: Tensor,
        larger_NKHW: Tensor,
        attention_N1HW: Tensor,
        has_run_N1HW: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        size_hw = (larger_NKHW.shape[-2], larger_NKHW.shape[-1])
        weight_N1HW = resize_bilinear(weight_N1hw, size_hw) * has_run_N1HW
        change_NKHW = larger_NKHW - resize_bilinear(logits_NKhw, size_hw)
        fused_NKHW = resize_bilinear(fused_NKhw, size_hw) + weight_N1HW * change_NKHW
        left_N1HW = weight_N1HW * (1 - attention_N1HW)
        return fused_NKHW, left_N1HW, left_N1HW * measure_uncertainty(fused_NKHW)


class LastScale(nn.Module):
    """Add the largest scale as `NextScale` does; `fused` alone comes out."""

    def forward(
        self,
        fused_NKhw: Tensor,
        logits_NKhw: Tensor,
        weight_N1hw: Tensor,
        larger_NKHW: Tensor,
        has_run_N1HW: Tensor,
    ) -> Tensor:
        size_hw = (larger_NKHW.shape[-2], larger_NKHW.shape[-1])
        weight_N1HW = resize_bilinear(weight_N1hw, size_hw) * has_run_N1HW
        change_NKHW = larger_NKHW - resize_bilinear(logits_NKhw, size_hw)
        return resize_bilinear(fused_NKhw, size_hw) + weight_N1HW * change_NKHW


class LastOfTwo(nn.Module):
    """`LastScale` where one scale alone was before: its logits are what is fused already."""

    def forward(
        self, first_NKhw: Tensor, weight_N1hw: Tensor, larger_NKHW: Tensor, has_run_N1HW: Tensor
    ) -> Tensor:
        size_hw = (larger_NKHW.shape[-2], larger_NKHW.shape[-1])
        weight_N1HW = resize_bilinear(weight_N1hw, size_hw) * has_run_N1HW
        first_NKHW = resize_bilinear(first_NKhw, size_hw)
        return first_NKHW + weight_N1HW * (larger_NKHW - first_NKHW)


def measure_uncertainty(logits_NKHW: Tensor) -> Tensor:
    """Return how unsure the best class is, 0..1: one minus its lead over the second best."""
    if logits_NKHW.shape[1] < 2:
        return logits_NKHW * 0
    best_N2HW = logits_NKHW.softmax(dim=1).topk(2, dim=1).values
    return 1 - (best_N2HW[:, :1] - best_N2HW[:, 1:])
