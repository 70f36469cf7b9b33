"""Recorded OpenVINO graphs against the torch modules that they came from."""

from typing import Any

import numpy as np
import openvino as ov
import pytest
import torch
from tiny_network import draw_image, make_card, make_network
from torch import Tensor, nn

from proxia_segmentation_ros.backends.graph import openvino_convert
from proxia_segmentation_ros.backends.graph.openvino_convert import convert_network
from proxia_segmentation_ros.backends.graph.recorder import UnknownOperation, record_graph
from proxia_segmentation_ros.backends.graph.torch_graph import NetworkGraph


def run(graph: ov.Model, image_NHWC: np.ndarray) -> np.ndarray:
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    result: np.ndarray = compiled(image_NHWC)[0]
    return result


@pytest.mark.parametrize(
    ("changes", "scales"),
    [
        ({}, (1.0,)),
        ({"channel_order": "bgr"}, (1.0,)),
        ({"architecture": "hrnet_w18_small_v1_ocr_mscale"}, (0.5, 1.0, 2.0)),
    ],
)
@pytest.mark.slow
def test_recorded_network_computes_the_same(
    changes: dict[str, Any], scales: tuple[float, ...]
) -> None:
    card = make_card(**changes, scales=scales)
    graph = NetworkGraph(make_network(card), card, scales).eval()
    image_NHWC = draw_image(66, 90)[None]
    with torch.no_grad():
        wanted = graph(torch.from_numpy(image_NHWC)).numpy()
    recorded = record_graph(graph, torch.from_numpy(image_NHWC))
    np.testing.assert_allclose(run(recorded, image_NHWC), wanted, atol=2e-3)


class Sorting(nn.Module):
    def forward(self, image_NHWC: Tensor) -> Tensor:
        return image_NHWC.float().permute(0, 3, 1, 2).sort(dim=1).values


class GroupedConvolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, groups=2)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(features)


class TrainedNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4).train()

    def forward(self, features: Tensor) -> Tensor:
        return self.norm(features)


class Outsider(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = [torch.ones(4, device="meta")]

    def forward(self, features: Tensor) -> Tensor:
        return features + self.table[0]


@pytest.mark.parametrize("module", [Sorting, GroupedConvolution, TrainedNorm, Outsider])
def test_what_has_no_translation_is_refused(module: type[nn.Module]) -> None:
    with pytest.raises(UnknownOperation):
        record_graph(module(), torch.zeros(1, 4, 8, 4))


@pytest.mark.slow
def test_unknown_operation_goes_by_way_of_torch_export(monkeypatch: pytest.MonkeyPatch) -> None:
    exported = []

    def refuse(module: nn.Module, example: Tensor) -> None:
        raise UnknownOperation("sort")

    def export(module: nn.Module, example: Tensor) -> object:
        exported.append(module)
        return "graph"

    monkeypatch.setattr(openvino_convert, "record_graph", refuse)
    monkeypatch.setattr(openvino_convert, "export_graph", export)
    card = make_card()
    assert convert_network(make_network(card), card, (1.0,), (32, 32)) == "graph"
    assert len(exported) == 1


@pytest.mark.slow
def test_exported_graph_computes_the_same() -> None:
    # Small on purpose: the way by torch.export takes long for a whole network.
    graph = openvino_convert.export_graph(Sorting(), torch.zeros(1, 16, 20, 3, dtype=torch.uint8))
    image_NHWC = draw_image(16, 20)[None]
    np.testing.assert_array_equal(
        run(graph, image_NHWC), np.sort(image_NHWC.transpose(0, 3, 1, 2), axis=1)
    )


class EverySecond(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image[:, ::2]


def test_a_slice_with_steps_is_left_to_the_export() -> None:
    with pytest.raises(UnknownOperation, match="steps"):
        record_graph(EverySecond(), torch.zeros(1, 4, 8, 8))
