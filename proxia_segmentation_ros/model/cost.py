"""Parameters and multiply-adds of a network, counted on the meta device."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from proxia_segmentation_ros.model.network.hrnet_ocr import HRNetOcrMultiScale, build_model


@dataclass(frozen=True)
class NetworkCost:
    """`multiply_adds` of convolutions and matrix products for one image, as papers count them."""

    parameters: int
    multiply_adds: int


def measure_cost(
    architecture: str,
    num_classes: int,
    size_hw: tuple[int, int],
    *,
    ocr_mid: int = 512,
    ocr_key: int = 256,
    attention_mid: int = 256,
    scales: Sequence[float] | None = None,
) -> NetworkCost:
    """Count the parameters and the multiply-adds of one image of a network of `build_model`.

    Raises:
        ConfigError: unknown architecture, or `scales` that it does not support.
    """
    with torch.device("meta"):
        network = build_model(
            architecture,
            num_classes,
            ocr_mid=ocr_mid,
            ocr_key=ocr_key,
            attention_mid=attention_mid,
        ).eval()
        image_NCHW = torch.empty(1, 3, *size_hw)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        if isinstance(network, HRNetOcrMultiScale) and scales:
            network(image_NCHW, tuple(scales))
        else:
            network(image_NCHW)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    # FlopCounterMode counts a multiply-add as two operations.
    return NetworkCost(parameters, counter.get_total_flops() // 2)
