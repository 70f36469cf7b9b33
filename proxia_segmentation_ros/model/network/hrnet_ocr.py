"""The segmentation networks: HRNet-OCR at a single scale, and fused over several scales.

They implement NVIDIA/semantic-segmentation (https://github.com/NVIDIA/semantic-segmentation): Tao,
Sapra, Catanzaro, "Hierarchical Multi-Scale Attention for Semantic Segmentation" (2020),
https://arxiv.org/abs/2005.10821. State dicts have the same keys, so its checkpoints load here.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.model.network.backbone import TRUNKS, HighResolutionNet, TrunkSpec
from proxia_segmentation_ros.model.network.blocks import resize_bilinear
from proxia_segmentation_ros.model.network.names import (
    MULTI_SCALE_SUFFIX,
    SCALES_RULE,
    follow_scales_rule,
)
from proxia_segmentation_ros.model.network.ocr import ContextOutput, OcrHead, OcrOutput
from proxia_segmentation_ros.model.network.scale_attention import (
    ScaleAttention,
    ScalePass,
    fuse_scales,
    scale_size,
)

DEFAULT_SCALES = (0.5, 1.0)
ARCHITECTURES = tuple(
    f"hrnet_{trunk}_ocr{suffix}" for suffix in ("", MULTI_SCALE_SUFFIX) for trunk in TRUNKS
)


class Outputs(NamedTuple):
    """All outputs, for losses and tests.

    `logits` and `aux_logits` have the input's size. Maps by scale have the size of that scale's
    image; the dicts are empty for single-scale networks.
    """

    logits: Tensor
    aux_logits: Tensor
    logits_by_scale: dict[float, Tensor]
    attention_by_scale: dict[float, Tensor]


class QuarterPass(NamedTuple):
    """Output of a pass at 1/4 resolution, with the object context that was used."""

    logits_NKHW: Tensor
    attention_N1HW: Tensor
    context_NCK1: Tensor


def join_passes(passes: dict[float, ScalePass]) -> Outputs:
    """Fuse the passes of several scales; the maps of each scale stay part of the outputs."""
    logits, aux_logits = fuse_scales(passes)
    return Outputs(
        logits,
        aux_logits,
        {scale: maps.logits_NKHW for scale, maps in passes.items()},
        {scale: maps.attention_N1HW for scale, maps in passes.items()},
    )


def _check_scales(scales: Sequence[float]) -> tuple[float, ...]:
    if not follow_scales_rule(scales):
        raise ConfigError.from_parts(
            f"scales are {list(scales)}", SCALES_RULE, "add 1.0 to the list"
        )
    return tuple(sorted(set(scales)))


class HRNetOcr(nn.Module):
    """Single-scale HRNet with an OCR head: maps a normalised image_NCHW to logits_NKHW."""

    def __init__(self, trunk: TrunkSpec, num_classes: int, ocr_mid: int, ocr_key: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.backbone = HighResolutionNet(trunk)
        self.ocr = OcrHead(trunk.out_channels, num_classes, ocr_mid, ocr_key)

    def forward_quarter(self, image_NCHW: Tensor) -> OcrOutput:
        """Return the head's output at 1/4 resolution."""
        output: OcrOutput = self.ocr(self.backbone(image_NCHW))
        return output

    def forward(self, image_NCHW: Tensor, scales: Sequence[float] | None = None) -> Tensor:
        """Return logits_NKHW at the input's size.

        Raises:
            ConfigError: `scales` is given and is not just 1.0.
        """
        _refuse_scales(scales)
        logits = self.forward_quarter(image_NCHW).logits_NKHW
        return resize_bilinear(logits, (image_NCHW.shape[-2], image_NCHW.shape[-1]))

    def outputs(self, image_NCHW: Tensor, scales: Sequence[float] | None = None) -> Outputs:
        """Return logits and auxiliary logits at the input's size."""
        _refuse_scales(scales)
        head = self.forward_quarter(image_NCHW)
        size_hw = (image_NCHW.shape[-2], image_NCHW.shape[-1])
        return Outputs(
            resize_bilinear(head.logits_NKHW, size_hw),
            resize_bilinear(head.aux_logits_NKHW, size_hw),
            {},
            {},
        )


def _refuse_scales(scales: Sequence[float] | None) -> None:
    if scales is not None and tuple(scales) != (1.0,):
        raise ConfigError.from_parts(
            f"scales are {list(scales)} for a single-scale network",
            "no scales or [1.0]",
            f"use an architecture that ends in {MULTI_SCALE_SUFFIX}",
        )


class HRNetOcrMultiScale(nn.Module):
    """HRNet-OCR with scale attention: passes at several scales, fused pixel by pixel."""

    def __init__(
        self, trunk: TrunkSpec, num_classes: int, ocr_mid: int, ocr_key: int, attention_mid: int
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.backbone = HighResolutionNet(trunk)
        self.ocr = OcrHead(trunk.out_channels, num_classes, ocr_mid, ocr_key)
        self.scale_attn = ScaleAttention(ocr_mid, attention_mid)

    def forward_scale(self, image_NCHW: Tensor) -> ScalePass:
        """Run a pass at a single scale; all maps have the size of `image_NCHW`."""
        head: OcrOutput = self.ocr(self.backbone(image_NCHW))
        attention = self.scale_attn(head.features_NCHW)
        size_hw = (image_NCHW.shape[-2], image_NCHW.shape[-1])
        return ScalePass(
            resize_bilinear(head.logits_NKHW, size_hw),
            resize_bilinear(head.aux_logits_NKHW, size_hw),
            resize_bilinear(attention, size_hw),
        )

    def forward_part(self, image_NCHW: Tensor, context_NCK1: Tensor | None = None) -> QuarterPass:
        """Run a pass without upsampling its output; tiles need the context of their image."""
        head: ContextOutput = self.ocr.forward_in_context(self.backbone(image_NCHW), context_NCK1)
        attention = self.scale_attn(head.features_NCHW)
        return QuarterPass(head.logits_NKHW, attention, head.context_NCK1)

    def outputs(self, image_NCHW: Tensor, scales: Sequence[float] | None = None) -> Outputs:
        """Return fused maps at the input's size and the maps of every scale.

        Passes run from the smallest scale up: in training the order in which batch-norm
        statistics are updated is part of the result.

        Raises:
            ConfigError: `scales` lacks 1.0 or has a number that is not positive.
        """
        size_hw = (image_NCHW.shape[-2], image_NCHW.shape[-1])
        passes = {
            scale: self.forward_scale(resize_bilinear(image_NCHW, scale_size(size_hw, scale)))
            for scale in _check_scales(DEFAULT_SCALES if scales is None else scales)
        }
        return join_passes(passes)

    def forward(self, image_NCHW: Tensor, scales: Sequence[float] | None = None) -> Tensor:
        """Return fused logits_NKHW at the input's size."""
        return self.outputs(image_NCHW, scales).logits


def build_model(
    architecture: str,
    num_classes: int,
    *,
    ocr_mid: int = 512,
    ocr_key: int = 256,
    attention_mid: int = 256,
) -> HRNetOcr | HRNetOcrMultiScale:
    """Build a network with randomly initialised weights.

    Raises:
        ConfigError: `architecture` is not one of `ARCHITECTURES` or a size is not positive.
    """
    if architecture not in ARCHITECTURES:
        raise ConfigError.from_parts(
            f"architecture is {architecture!r}", f"one of {', '.join(ARCHITECTURES)}", "pick one"
        )
    sizes = {
        "num_classes": num_classes,
        "ocr_mid": ocr_mid,
        "ocr_key": ocr_key,
        "attention_mid": attention_mid,
    }
    for name, value in sizes.items():
        if value < 1:
            raise ConfigError.from_parts(f"{name} is {value}", "at least 1", f"raise {name}")
    is_multi_scale = architecture.endswith(MULTI_SCALE_SUFFIX)
    trunk_name = architecture.removesuffix(MULTI_SCALE_SUFFIX)
    trunk = TRUNKS[trunk_name.removeprefix("hrnet_").removesuffix("_ocr")]
    if is_multi_scale:
        return HRNetOcrMultiScale(trunk, num_classes, ocr_mid, ocr_key, attention_mid)
    return HRNetOcr(trunk, num_classes, ocr_mid, ocr_key)
