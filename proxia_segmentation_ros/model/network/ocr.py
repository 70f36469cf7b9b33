"""OCR head: object-contextual representations.

A first prediction (auxiliary logits) defines soft regions of the classes; each pixel attends to
the mean features of these regions before it is classified. Source: Yuan et al.,
"Object-Contextual Representations for Semantic Segmentation" (2020),
https://arxiv.org/abs/1909.11065. Module names are the keys of the state dict of
NVIDIA/semantic-segmentation (see hrnet_ocr.py).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from proxia_segmentation_ros.model.network.blocks import make_conv, make_norm_relu

DROPOUT = 0.05


class OcrOutput(NamedTuple):
    """Output of the head, at 1/4 resolution."""

    logits_NKHW: Tensor
    aux_logits_NKHW: Tensor
    features_NCHW: Tensor


class ContextOutput(NamedTuple):
    """Output of the head without auxiliary logits, and the object context it used."""

    logits_NKHW: Tensor
    features_NCHW: Tensor
    context_NCK1: Tensor


def gather_context(features_NCHW: Tensor, aux_logits_NKHW: Tensor) -> Tensor:
    """Return context_NCK1: the mean features of each class's soft region."""
    weights_NKP = aux_logits_NKHW.flatten(2).softmax(dim=2)
    features_NPC = features_NCHW.flatten(2).transpose(1, 2)
    return torch.matmul(weights_NKP, features_NPC).transpose(1, 2).unsqueeze(3)


class ObjectAttention(nn.Module):
    """Attend from every pixel to the K class contexts."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.key_channels = key_channels
        self.f_pixel = self._make_projection(channels, key_channels)
        self.f_object = self._make_projection(channels, key_channels)
        self.f_down = nn.Sequential(
            make_conv(channels, key_channels, 1), make_norm_relu(key_channels)
        )
        self.f_up = nn.Sequential(make_conv(key_channels, channels, 1), make_norm_relu(channels))

    @staticmethod
    def _make_projection(channels: int, key_channels: int) -> nn.Sequential:
        return nn.Sequential(
            make_conv(channels, key_channels, 1),
            make_norm_relu(key_channels),
            make_conv(key_channels, key_channels, 1),
            make_norm_relu(key_channels),
        )

    def forward(self, features_NCHW: Tensor, context_NCK1: Tensor) -> Tensor:
        batch, _, height, width = features_NCHW.shape
        query_NPC = self.f_pixel(features_NCHW).flatten(2).transpose(1, 2)
        key_NCK = self.f_object(context_NCK1).flatten(2)
        value_NKC = self.f_down(context_NCK1).flatten(2).transpose(1, 2)
        similarity_NPK = torch.matmul(query_NPC, key_NCK) * self.key_channels**-0.5
        attended_NPC = torch.matmul(similarity_NPK.softmax(dim=-1), value_NKC)
        attended_NCHW = attended_NPC.transpose(1, 2).reshape(
            batch, self.key_channels, height, width
        )
        return self.f_up(attended_NCHW)


class ObjectDistribution(nn.Module):
    """Concatenates the attended object context and the pixel features, and mixes them."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.object_context_block = ObjectAttention(channels, key_channels)
        self.conv_bn_dropout = nn.Sequential(
            make_conv(2 * channels, channels, 1), make_norm_relu(channels), nn.Dropout2d(DROPOUT)
        )

    def forward(self, features_NCHW: Tensor, context_NCK1: Tensor) -> Tensor:
        object_context = self.object_context_block(features_NCHW, context_NCK1)
        return self.conv_bn_dropout(torch.cat([object_context, features_NCHW], dim=1))


class OcrHead(nn.Module):
    """Maps trunk features to class logits, auxiliary logits and mid-level features."""

    def __init__(
        self, in_channels: int, num_classes: int, mid_channels: int, key_channels: int
    ) -> None:
        super().__init__()
        self.conv3x3_ocr = nn.Sequential(
            make_conv(in_channels, mid_channels, 3, bias=True), make_norm_relu(mid_channels)
        )
        self.ocr_distri_head = ObjectDistribution(mid_channels, key_channels)
        self.cls_head = make_conv(mid_channels, num_classes, 1, bias=True)
        self.aux_head = nn.Sequential(
            make_conv(in_channels, in_channels, 1, bias=True),
            make_norm_relu(in_channels),
            make_conv(in_channels, num_classes, 1, bias=True),
        )

    def forward(self, trunk_NCHW: Tensor) -> OcrOutput:
        aux_logits = self.aux_head(trunk_NCHW)
        features = self.conv3x3_ocr(trunk_NCHW)
        mid = self.ocr_distri_head(features, gather_context(features, aux_logits))
        return OcrOutput(self.cls_head(mid), aux_logits, mid)

    def forward_in_context(
        self, trunk_NCHW: Tensor, context_NCK1: Tensor | None = None
    ) -> ContextOutput:
        """Classify pixels in a given object context, by default that of `trunk_NCHW` itself.

        Tiles use the context of their whole image: a tile alone sees too little of it.
        """
        features = self.conv3x3_ocr(trunk_NCHW)
        if context_NCK1 is None:
            context_NCK1 = gather_context(features, self.aux_head(trunk_NCHW))
        mid = self.ocr_distri_head(features, context_NCK1)
        return ContextOutput(self.cls_head(mid), mid, context_NCK1)
