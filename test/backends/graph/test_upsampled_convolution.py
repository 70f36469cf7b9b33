"""Convolutions of enlarged maps at low resolution against the plain way in torch."""

import numpy as np
import openvino as ov
import pytest
import torch
import torch.nn.functional as F
from openvino import opset13 as ops
from torch import Tensor, nn

from proxia_segmentation_ros.backends.graph.recorder import record_graph
from proxia_segmentation_ros.backends.graph.upsampled_convolution import UpsampledConvolution
from proxia_segmentation_ros.model.network.blocks import resize_bilinear
from proxia_segmentation_ros.model.network.interpolation import make_shifted_resize


class Head(nn.Module):
    """Shrinks its input to several sizes, enlarges and joins them, and convolves."""

    def __init__(self, side: int, sizes_hw: list[tuple[int, int]], has_norm: bool) -> None:
        super().__init__()
        torch.manual_seed(side)
        self.sizes_hw = sizes_hw
        self.conv = nn.Conv2d(4 * len(sizes_hw), 6, side, padding=side // 2)
        norm = nn.BatchNorm2d(6)
        nn.init.uniform_(norm.weight, 0.5, 2.0)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
        self.norm = norm if has_norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        branches = [resize_bilinear(features, size_hw).relu() for size_hw in self.sizes_hw]
        full_hw = (features.shape[2], features.shape[3])
        joined = torch.cat([resize_bilinear(branch, full_hw) for branch in branches], dim=1)
        return self.norm(self.conv(joined)).sigmoid()


FULL = (24, 32)


@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize("has_norm", [True, False])
@pytest.mark.parametrize(
    "sizes_hw",
    [
        [FULL, (12, 16), (6, 8), (3, 4)],
        [FULL, (13, 17), (7, 9), (4, 5)],
        [(6, 8), (3, 4)],
        [FULL, (12, 16)],
        [FULL, (1, 1)],
    ],
)
def test_numbers_are_those_of_the_plain_convolution(
    side: int, has_norm: bool, sizes_hw: list[tuple[int, int]]
) -> None:
    head = Head(side, sizes_hw, has_norm).eval()
    features = torch.randn(1, 4, *FULL)
    with torch.no_grad():
        wanted = head(features).numpy()
    graph = record_graph(head, features)
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled(features.numpy())[0], wanted, atol=1e-5)


def test_only_joined_and_enlarged_maps_are_taken() -> None:
    small, large = (ops.parameter([1, 2, side, side], np.float32) for side in (4, 16))
    kernel = np.zeros((3, 4, 3, 3), np.float32)
    assert UpsampledConvolution.match(small, kernel[:, :2], None, "head") is None
    assert UpsampledConvolution.match(ops.concat([large, large], 1), kernel, None, "head") is None
    wide = ops.concat([large, large], 1)
    assert (
        UpsampledConvolution.match(wide, np.zeros((3, 4, 5, 5), np.float32), None, "head") is None
    )


@pytest.mark.parametrize(("length", "size"), [(3, 12), (5, 12), (1, 4), (12, 12)])
def test_shifted_resize_reads_zeros_beyond_the_ends(length: int, size: int) -> None:
    line = np.random.default_rng(0).normal(size=length).astype(np.float32)
    resized = F.interpolate(
        torch.from_numpy(line).view(1, 1, length, 1), size=(size, 1), mode="bilinear"
    ).numpy()[0, 0, :, 0]
    for shift, wanted in (
        (-1, np.concatenate([[0], resized[:-1]])),
        (0, resized),
        (1, np.concatenate([resized[1:], [0]])),
    ):
        np.testing.assert_allclose(
            make_shifted_resize(length, size, shift) @ line, wanted, atol=1e-6
        )
