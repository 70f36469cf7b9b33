"""Scale attention, and the fusion of predictions made at several image scales.

Source: Tao, Sapra, Catanzaro, "Hierarchical Multi-Scale Attention for Semantic Segmentation"
(2020), https://arxiv.org/abs/2005.10821.
"""

from typing import NamedTuple

from torch import Tensor, nn

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.model.network.blocks import (
    make_batch_norm,
    make_conv,
    resize_bilinear,
)


class ScalePass(NamedTuple):
    """Output of a pass at one scale; all maps have the size of that scale's image."""

    logits_NKHW: Tensor
    aux_logits_NKHW: Tensor
    attention_N1HW: Tensor


class ScaleAttention(nn.Module):
    """Predicts for each pixel the weight (0..1) of its scale against the larger scales."""

    def __init__(self, in_channels: int, mid_channels: int) -> None:
        super().__init__()
        self.conv0 = make_conv(in_channels, mid_channels, 3)
        self.bn0 = make_batch_norm(mid_channels)
        self.conv1 = make_conv(mid_channels, mid_channels, 3)
        self.bn1 = make_batch_norm(mid_channels)
        self.conv2 = make_conv(mid_channels, 1, 1)
        self.relu = nn.ReLU()

    def forward(self, features_NCHW: Tensor) -> Tensor:
        hidden = self.relu(self.bn0(self.conv0(features_NCHW)))
        hidden = self.relu(self.bn1(self.conv1(hidden)))
        return self.conv2(hidden).sigmoid()


def scale_size(size_hw: SizeHW, scale: float) -> SizeHW:
    """Return the image size at `scale`, rounded down as in NVIDIA/semantic-segmentation."""
    height, width = size_hw
    return int(height * scale), int(width * scale)


def fuse_scales(passes: dict[float, ScalePass]) -> tuple[Tensor, Tensor]:
    """Return the fused logits and the fused auxiliary logits; see `fuse_maps`."""
    attention = {scale: maps.attention_N1HW for scale, maps in passes.items()}
    return (
        fuse_maps({scale: maps.logits_NKHW for scale, maps in passes.items()}, attention),
        fuse_maps({scale: maps.aux_logits_NKHW for scale, maps in passes.items()}, attention),
    )


def fuse_maps(maps: dict[float, Tensor], attention: dict[float, Tensor]) -> Tensor:
    """Fuse maps_NKHW from the largest scale down: attention * this + (1 - attention) * larger.

    At a scale of 1.0 or more the larger scales' result is first downsampled to its size. Below 1.0
    the map is weighted at its own size and then upsampled, the attention being upsampled
    separately. This order, that of NVIDIA/semantic-segmentation, matters at object borders. The
    result has the size of the 1.0 pass.
    """
    ordered = sorted(maps, reverse=True)
    fused = maps[ordered[0]]
    for scale in ordered[1:]:
        current, weight = maps[scale], attention[scale]
        larger = current if scale >= 1.0 else fused
        size_hw = (larger.shape[-2], larger.shape[-1])
        keep = 1 - resize_bilinear(weight, size_hw)
        fused = resize_bilinear(weight * current, size_hw) + keep * resize_bilinear(fused, size_hw)
    return fused
