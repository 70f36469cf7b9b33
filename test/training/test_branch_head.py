"""The cheaper training pass against the network's own."""

import pytest
import torch
from torch import nn

from proxia_segmentation_ros.model.network.hrnet_ocr import (
    HRNetOcr,
    HRNetOcrMultiScale,
    build_model,
)
from proxia_segmentation_ros.training.branch_head import (
    compute_outputs,
    convolve_upsampled,
    upsample,
)

Network = HRNetOcr | HRNetOcrMultiScale


def make_network(suffix: str) -> Network:
    torch.manual_seed(3)
    network = build_model(
        f"hrnet_w18_small_v1_ocr{suffix}", 5, ocr_mid=16, ocr_key=8, attention_mid=8
    )
    for module in network.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    return network.double()


def run(network: Network, image: torch.Tensor, way: str) -> tuple[torch.Tensor, ...]:
    """Return logits, auxiliary logits and all gradients of one training pass."""
    network.train().zero_grad()
    outputs = network.outputs(image) if way == "plain" else compute_outputs(network, image)
    loss = outputs.logits.square().mean() + outputs.aux_logits.cos().mean()
    for attention in outputs.attention_by_scale.values():
        loss = loss + attention.sin().mean()
    loss.backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    there = [gradient for gradient in gradients if gradient is not None]
    assert len(there) == len(gradients)
    return outputs.logits.detach(), outputs.aux_logits.detach(), *there


@pytest.mark.parametrize("suffix", ["", "_mscale"])
@pytest.mark.parametrize("size_hw", [(64, 96), (65, 99)])
def test_outputs_and_gradients_are_the_networks_own(size_hw: tuple[int, int], suffix: str) -> None:
    network = make_network(suffix)
    image = torch.randn(2, 3, *size_hw, dtype=torch.float64)
    wanted, got = run(network, image, "plain"), run(network, image, "branches")
    for expected, found in zip(wanted, got, strict=True):
        # Resizing matrices are float32, which is exact for powers of two only.
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("small", "large"), [((3, 4), (12, 16)), ((3, 5), (17, 33))])
def test_convolution_of_enlarged_maps_has_the_zero_border_outside(
    small: tuple[int, int], large: tuple[int, int]
) -> None:
    maps, kernel = torch.randn(2, 4, *small), torch.randn(6, 4, 3, 3)
    plain = nn.functional.interpolate(maps, size=large, mode="bilinear", align_corners=False)
    torch.testing.assert_close(upsample(maps, large), plain, rtol=1e-4, atol=1e-5)
    wanted = nn.functional.conv2d(plain, kernel, padding=1)
    torch.testing.assert_close(
        convolve_upsampled(maps, kernel, large), wanted, rtol=1e-4, atol=1e-4
    )
