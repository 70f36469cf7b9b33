"""The network with normalisation, and the argmax post-processing, in torch.

Shape legend: N images, H rows, W columns, C colour channels, K classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.network.blocks import resize_bilinear
from proxia_segmentation_ros.model.network.hrnet_ocr import HRNetOcr, HRNetOcrMultiScale

PIXEL_MAX = 255.0


class NetworkGraph(nn.Module):
    """Maps RGB image_NHWC (uint8) at network size to logits_NKHW.

    Logits have 1/4 resolution, or the network's size if it is a multi-scale network.
    """

    mean_NCHW: Tensor
    gain_NCHW: Tensor

    def __init__(self, model: nn.Module, card: ModelCard, scales: Sequence[float]) -> None:
        super().__init__()
        if not isinstance(model, HRNetOcr | HRNetOcrMultiScale):
            raise TypeError(f"no network of this package: {type(model).__name__}")
        self.network = model
        self.scales = tuple(scales)
        self.is_bgr = card.channel_order == "bgr"
        # (x / 255 - mean) / std, in the network's channel order, as subtraction and product.
        mean = torch.tensor(card.mean, dtype=torch.float32).view(1, 3, 1, 1)
        std = torch.tensor(card.std, dtype=torch.float32).view(1, 3, 1, 1)
        self.register_buffer("mean_NCHW", mean * PIXEL_MAX, persistent=False)
        self.register_buffer("gain_NCHW", 1 / (std * PIXEL_MAX), persistent=False)

    def normalise(self, image_NHWC: Tensor) -> Tensor:
        """Return the normalised image_NCHW of an RGB image (uint8)."""
        image_NCHW = image_NHWC.permute(0, 3, 1, 2).float()
        if self.is_bgr:
            image_NCHW = image_NCHW.flip(1)
        return (image_NCHW - self.mean_NCHW) * self.gain_NCHW

    def forward(self, image_NHWC: Tensor) -> Tensor:
        return self.run_network(self.normalise(image_NHWC))

    def run_network(self, image_NCHW: Tensor) -> Tensor:
        """Return logits_NKHW of normalised images."""
        if isinstance(self.network, HRNetOcr):
            return self.network.forward_quarter(image_NCHW).logits_NKHW
        logits_NKHW: Tensor = self.network(image_NCHW, self.scales)
        return logits_NKHW


def argmax_labels(logits_NKHW: Tensor, output_hw: SizeHW) -> Tensor:
    """Return ids_NHW (int64): argmax of the logits resized directly to the output size."""
    return resize_bilinear(logits_NKHW, output_hw).argmax(dim=1)


def argmax_labels_and_confidence(
    logits_NKHW: Tensor, output_hw: SizeHW, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return ids_NHW (int64) and the probability of that class, 0..1, as float."""
    resized_NKHW = resize_bilinear(logits_NKHW, output_hw)
    best_NHW, ids_NHW = resized_NKHW.max(dim=1)
    total_NHW = ((resized_NKHW - best_NHW.unsqueeze(1)) / temperature).exp().sum(dim=1)
    return ids_NHW, 1 / total_NHW
