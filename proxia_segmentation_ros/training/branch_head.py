"""A training pass that convolves the backbone's branches before they are upsampled.

Four fifths of the channels that the OCR head convolves come from branches that are upsampled four
and eight times. A 1x1 convolution and an interpolation commute, so these branches are convolved at
their own resolution. Outputs and gradients are the same up to rounding, and a training step takes
three quarters of the time (docs/training.md). Inference does the same in its own graph
(docs/decisions/001).

Shape legend: N images, I, O channels in and out; H, W rows and columns at 1/4 resolution; h, w
those of a branch.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.model.network.blocks import resize_bilinear
from proxia_segmentation_ros.model.network.hrnet_ocr import (
    DEFAULT_SCALES,
    HRNetOcr,
    HRNetOcrMultiScale,
    Outputs,
    join_passes,
)
from proxia_segmentation_ros.model.network.interpolation import make_shifted_resize
from proxia_segmentation_ros.model.network.ocr import OcrHead, OcrOutput, gather_context
from proxia_segmentation_ros.model.network.scale_attention import ScalePass, scale_size

# Below this factor a branch is upsampled first: nine small maps, one for each tap of the 3x3
# kernel, would cost as much as they save.
MIN_UPSAMPLING = 3


def compute_outputs(model: HRNetOcr | HRNetOcrMultiScale, image_NCHW: Tensor) -> Outputs:
    """Return the same as `model.outputs`, in less time if gradients are needed."""
    size_hw = _get_size(image_NCHW)
    if isinstance(model, HRNetOcrMultiScale):
        passes = {
            scale: _pass_scale(model, resize_bilinear(image_NCHW, scale_size(size_hw, scale)))
            for scale in DEFAULT_SCALES
        }
        return join_passes(passes)
    head = _apply_head(model.ocr, model.backbone.forward_branches(image_NCHW))
    logits, aux_logits = head.logits_NKHW, head.aux_logits_NKHW
    return Outputs(upsample(logits, size_hw), upsample(aux_logits, size_hw), {}, {})


def _pass_scale(model: HRNetOcrMultiScale, image_NCHW: Tensor) -> ScalePass:
    size_hw = _get_size(image_NCHW)
    head = _apply_head(model.ocr, model.backbone.forward_branches(image_NCHW))
    return ScalePass(
        upsample(head.logits_NKHW, size_hw),
        upsample(head.aux_logits_NKHW, size_hw),
        upsample(model.scale_attn(head.features_NCHW), size_hw),
    )


def upsample(maps_NIhw: Tensor, size_hw: SizeHW) -> Tensor:
    """Upsample bilinearly (`align_corners` false) by two matrix products.

    For few channels and a factor of four this is faster than `F.interpolate`.
    """
    batch, channels, height, width = maps_NIhw.shape
    if (height, width) == size_hw:
        return maps_NIhw
    columns_wW = _get_matrix(width, size_hw[1], 1, maps_NIhw).T
    rows_Hh = _get_matrix(height, size_hw[0], 1, maps_NIhw)
    wide = maps_NIhw.reshape(batch * channels * height, width) @ columns_wW
    wide = wide.view(batch * channels, height, size_hw[1])
    return torch.matmul(rows_Hh, wide).view(batch, channels, *size_hw)


def convolve_upsampled(maps_NIhw: Tensor, kernel_OI33: Tensor, size_hw: SizeHW) -> Tensor:
    """Return the padded 3x3 convolution of the maps upsampled to `size_hw`, channels last.

    Each of the nine taps is a 1x1 convolution of the small maps, followed by an interpolation and
    a shift. Both are linear and separable: one matrix for rows and one for columns do the
    interpolation, the shifts and the zero padding of all taps.
    """
    batch, channels_in, height, width = maps_NIhw.shape
    channels = len(kernel_OI33)
    mix = kernel_OI33.permute(2, 3, 0, 1).reshape(9 * channels, channels_in, 1, 1)
    taps_NhwC = F.conv2d(maps_NIhw, mix).permute(0, 2, 3, 1)
    # The taps of the kernel's rows go beside the rows of the map (h, 3), those of its columns
    # beside the columns (w, 3), so that each matrix product sums over both.
    lines = taps_NhwC.reshape(batch, height, width, 3, 3 * channels).transpose(2, 3)
    lines = lines.reshape(batch, height * 3, width * 3 * channels)
    high = torch.matmul(_get_matrix(height, size_hw[0], 3, maps_NIhw), lines)
    high = high.view(batch * size_hw[0], width * 3, channels)
    full = torch.matmul(_get_matrix(width, size_hw[1], 3, maps_NIhw), high)
    return full.view(batch, *size_hw, channels).permute(0, 3, 1, 2)


def _get_matrix(length: int, size: int, taps: int, like: Tensor) -> Tensor:
    return _make_matrix(length, size, taps, like.dtype, like.device)


@lru_cache(maxsize=256)
def _make_matrix(
    length: int, size: int, taps: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return the interpolation matrices of all taps, interleaved: (size, length x taps)."""
    shifts = range(-(taps // 2), taps // 2 + 1)
    matrices = [make_shifted_resize(length, size, shift) for shift in shifts]
    return torch.from_numpy(np.stack(matrices, 2).reshape(size, -1)).to(device, dtype)


def _apply_head(head: OcrHead, branches: Sequence[Tensor]) -> OcrOutput:
    """Return the head's maps at 1/4 resolution."""
    aux = _mix_branches(branches, head.aux_head[0])
    for layer in list(head.aux_head)[1:]:
        aux = layer(aux)
    features = head.conv3x3_ocr[1](_convolve_branches(branches, head.conv3x3_ocr[0]))
    mid = head.ocr_distri_head(features, gather_context(features, aux))
    return OcrOutput(head.cls_head(mid), aux, mid)


def _mix_branches(branches: Sequence[Tensor], layer: nn.Module) -> Tensor:
    """Apply a 1x1 convolution to the joined branches."""
    size_hw = _get_size(branches[0])
    kernels, bias = _split_kernel(layer, branches)
    total = F.conv2d(branches[0], kernels[0], bias)
    for branch, kernel in zip(branches[1:], kernels[1:], strict=True):
        total = total + resize_bilinear(F.conv2d(branch, kernel), size_hw)
    return total


def _convolve_branches(branches: Sequence[Tensor], layer: nn.Module) -> Tensor:
    """Apply a 3x3 convolution to the joined branches."""
    size_hw = _get_size(branches[0])
    kernels, bias = _split_kernel(layer, branches)
    is_small = [branch.shape[-2] * MIN_UPSAMPLING <= size_hw[0] for branch in branches]
    large = [index for index, small in enumerate(is_small) if not small]
    joined = torch.cat([resize_bilinear(branches[index], size_hw) for index in large], 1)
    kernel = torch.cat([kernels[index] for index in large], 1)
    total = F.conv2d(joined, kernel, bias, padding=1)
    for branch, kernel, small in zip(branches, kernels, is_small, strict=True):
        if small:
            total = total + convolve_upsampled(branch, kernel, size_hw)
    return total


def _split_kernel(
    layer: nn.Module, branches: Sequence[Tensor]
) -> tuple[tuple[Tensor, ...], Tensor | None]:
    if not isinstance(layer, nn.Conv2d):
        raise TypeError(f"the head starts with {type(layer).__name__}, not with a convolution")
    return layer.weight.split([branch.shape[1] for branch in branches], 1), layer.bias


def _get_size(maps_NCHW: Tensor) -> SizeHW:
    return (maps_NCHW.shape[-2], maps_NCHW.shape[-1])
