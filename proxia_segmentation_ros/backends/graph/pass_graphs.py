"""Passes at single scales and their fusion as torch modules; backends compile or run them.

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
    """Maps RGB image_NHWC (uint8) at network size to logits, context and attention of a scale.

    `with_attention` is false for the largest scale, whose attention is never used.
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
        found = self._run_pass(image_NCHW, None)
        maps = (found.logits_NKHW, found.context_NCK1)
        return (*maps, found.attention_N1HW) if self.with_attention else maps

    def _run_pass(self, image_NCHW: Tensor, context_NCK1: Tensor | None) -> QuarterPass:
        network = self.network
        if not isinstance(network, HRNetOcrMultiScale):
            raise TypeError(f"a network without scale attention: {type(network).__name__}")
        return network.forward_part(image_NCHW, context_NCK1)


class TilePassGraph(FullImagePassGraph):
    """Maps RGB windows_THWC (uint8) and their image's object context to logits and attention."""

    def __init__(self, model: nn.Module, card: ModelCard, *, with_attention: bool) -> None:
        super().__init__(model, card, 1.0, with_attention=with_attention)

    def forward(  # type: ignore[override]
        self, windows_THWC: Tensor, context_NCK1: Tensor
    ) -> tuple[Tensor, ...]:
        found = self._run_pass(self.normalise(windows_THWC), context_NCK1)
        if self.with_attention:
            return found.logits_NKHW, found.attention_N1HW
        return (found.logits_NKHW,)


class ExactFusion(nn.Module):
    """Fuses full-image passes exactly as the network does, to logits_NKHW of the network's size.

    Inputs: logits and attention of each scale, from the smallest up; the largest has no attention.
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


class GatingScore(nn.Module):
    """Maps logits and attention of a scale to `weight` and `gating` of all larger scales.

    `weight` is the share of the fused logits that larger scales would have. `gating` is that
    weight times the uncertainty about the best class so far: where the class is certain, another
    scale does not change it.
    """

    def forward(self, logits_NKHW: Tensor, attention_N1HW: Tensor) -> tuple[Tensor, Tensor]:
        weight_N1HW = 1 - attention_N1HW
        return weight_N1HW, weight_N1HW * measure_uncertainty(logits_NKHW)


class NextScale(nn.Module):
    """Fuses a larger scale into the maps fused so far, at the larger scale's resolution.

    Inputs: `fused`, `logits` and `weight` of the previous scale, logits and attention of the
    larger scale, and `has_run`, 1 where the larger scale ran. Outputs: `fused`, `weight` and
    `gating`.

    fused + weight * (larger - logits) replaces the previous scale's contribution by the larger
    scale's, and changes nothing where the larger scale did not run.
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
    """Fuses the largest scale as `NextScale` does; the only output is `fused`."""

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
    """`LastScale` after a single smaller scale, whose logits are the fused logits."""

    def forward(
        self, first_NKhw: Tensor, weight_N1hw: Tensor, larger_NKHW: Tensor, has_run_N1HW: Tensor
    ) -> Tensor:
        size_hw = (larger_NKHW.shape[-2], larger_NKHW.shape[-1])
        weight_N1HW = resize_bilinear(weight_N1hw, size_hw) * has_run_N1HW
        first_NKHW = resize_bilinear(first_NKhw, size_hw)
        return first_NKHW + weight_N1HW * (larger_NKHW - first_NKHW)


def measure_uncertainty(logits_NKHW: Tensor) -> Tensor:
    """Return the uncertainty, 0..1: one minus the margin between the two best probabilities.

    Chosen over entropy and others by mIoU (docs/decisions/005-attention-pruned-scales.md).
    """
    if logits_NKHW.shape[1] < 2:
        return logits_NKHW * 0
    best_N2HW = logits_NKHW.softmax(dim=1).topk(2, dim=1).values
    return 1 - (best_N2HW[:, :1] - best_N2HW[:, 1:])
