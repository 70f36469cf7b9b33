"""Convolutions in int8: which, with which ranges, and what becomes of the labels."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
from tiny_network import draw_image, make_card, make_network

from proxia_segmentation_ros.backends.contract import FramePlan, Lane
from proxia_segmentation_ros.backends.graph.openvino_convert import convert_module, convert_network
from proxia_segmentation_ros.backends.graph.pass_graphs import FullImagePassGraph
from proxia_segmentation_ros.backends.graph.quantised_graph import (
    add_range_outputs,
    list_layers,
    quantise_graph,
)
from proxia_segmentation_ros.backends.network_source import WeightFile
from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.inference import Segmenter
from proxia_segmentation_ros.inference.backend_choice import open_backend
from proxia_segmentation_ros.model.quantisation import (
    Quantisation,
    Range,
    copy_with_quantisation,
    read_quantisation,
)
from proxia_segmentation_ros.training.quantisation import find_ranges

pytestmark = pytest.mark.slow

SIZE_HW = (96, 128)
# Bytes at their greatest, times weights at theirs: what 16 bits can't add is cut off.
GREATEST_SUM = 32.0
SUM_GREATEST_BYTES = """
import numpy as np
import openvino as ov
from openvino import opset13 as ops
from proxia_segmentation_ros.backends.graph.quantised_graph import name_layer, quantise_graph

image = ops.parameter([1, 32, 4, 4], np.float32)
kernel = ops.constant(np.ones((32, 32, 1, 1), np.float32))
node = ops.convolution(image, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
name_layer(node, "conv")
graph = ov.Model([node], [image], "greatest")
assert quantise_graph(graph, {"conv": (0.0, 1.0)}) == ["conv"]
hint = {"INFERENCE_PRECISION_HINT": "f32"}
print(ov.Core().compile_model(graph, "CPU", hint)(np.ones((1, 32, 4, 4), np.float32))[0].min())
"""
MakeFile = Callable[[dict[str, Range]], Path]


def make_graph(scales: tuple[float, ...] = (1.0,)) -> ov.Model:
    suffix = "_mscale" if len(scales) > 1 else ""
    card = make_card(architecture=f"hrnet_w18_small_v1_ocr{suffix}", scales=scales)
    return convert_network(make_network(card), card, scales, SIZE_HW)


@pytest.fixture(scope="module")
def ranges(tiny_weights: Path) -> dict[str, Range]:
    images = [draw_image(*SIZE_HW, seed) for seed in range(4)]
    return find_ranges(WeightFile(tiny_weights), images)


@pytest.fixture
def make_file(tiny_weights: Path, tmp_path: Path) -> MakeFile:
    def make(ranges: dict[str, Range]) -> Path:
        path = tmp_path / "int8.safetensors"
        quantisation = Quantisation(
            ranges=ranges,
            images=4,
            miou=0.5,
            lost_points=0,
            gate_points=0.5,
            agreement=1,
            speedup=1.5,
            compared_with="f32",
            cpu="some CPU",
        )
        copy_with_quantisation(tiny_weights, path, quantisation)
        return path

    return make


def test_every_convolution_is_a_named_layer() -> None:
    graph = make_graph()
    layers = [layer for layer, _ in list_layers(graph)]
    convolutions = [node for node in graph.get_ops() if node.get_type_name() == "Convolution"]
    assert len(layers) == len(convolutions)
    assert {"backbone.conv1", "ocr.cls_head", "ocr.conv3x3_ocr.0.direct"} <= set(layers)
    # Three taps of one part see the same tensor.
    assert layers.count("ocr.conv3x3_ocr.0.part3") == 3


def test_passes_at_several_scales_share_their_layers() -> None:
    layers = [layer for layer, _ in list_layers(make_graph((0.5, 1.0)))]
    assert layers.count("backbone.conv1") == 2


def test_range_outputs_tell_the_least_and_greatest_input() -> None:
    graph = make_graph()
    layers = add_range_outputs(graph)
    image_HWC = draw_image(*SIZE_HW)
    results = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(
        image_HWC[None]
    )
    first = layers.index("backbone.conv1")
    card = make_card()
    seen_HWC = (image_HWC / 255 - card.mean) / card.std
    assert float(results[1 + 2 * first]) == pytest.approx(seen_HWC.min(), abs=1e-5)
    assert float(results[2 + 2 * first]) == pytest.approx(seen_HWC.max(), abs=1e-5)


def test_layers_with_a_range_round_input_and_weights_alone(ranges: dict[str, Range]) -> None:
    graph = make_graph()
    chosen = {layer: ranges[layer] for layer in ("backbone.conv2", "ocr.cls_head")}
    assert sorted(quantise_graph(graph, chosen)) == sorted(chosen)
    for layer, node in list_layers(graph):
        kinds = [node.input_value(i).get_node().get_type_name() for i in range(2)]
        if layer in chosen:
            assert kinds == ["FakeQuantize", "FakeQuantize"]
        else:
            assert "FakeQuantize" not in kinds


@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0)])
def test_quantised_layers_run_in_bytes(scales: tuple[float, ...]) -> None:
    graph = make_graph(scales)
    quantise_graph(graph, {layer: (-3.0, 3.0) for layer, _ in list_layers(graph)})
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kinds = [
        node.get_rt_info()["runtimePrecision"].astype(str)
        for node in compiled.get_runtime_model().get_ops()
        if node.get_rt_info()["layerType"].astype(str) == "Convolution"
    ]
    assert kinds
    assert set(kinds) <= {"i8", "u8"}


@pytest.mark.parametrize("instructions", ["AVX2", "AVX512_CORE", ""])
def test_no_sum_is_cut_off_on_a_cpu_without_vnni(instructions: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SUM_GREATEST_BYTES],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": instructions},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(ran.stdout) == pytest.approx(GREATEST_SUM, rel=1e-3)


def test_labels_in_int8_are_nearly_those_in_float(
    ranges: dict[str, Range], make_file: MakeFile, tiny_weights: Path, tmp_path: Path
) -> None:
    whole, integer = (
        Segmenter.from_weights(path, backend="openvino", precision=precision, cache_dir=tmp_path)
        for path, precision in ((tiny_weights, "f32"), (make_file(ranges), "int8"))
    )
    assert integer.precision == "int8"
    image_HWC = draw_image(*SIZE_HW, 11)
    labels_HW = whole.segment(image_HWC).labels
    assert 0.9 <= np.mean(labels_HW == integer.segment(image_HWC).labels) < 1


@pytest.mark.parametrize("share", [1, 2])
def test_every_share_of_the_processor_runs_in_int8(
    ranges: dict[str, Range],
    make_file: MakeFile,
    tiny_weights: Path,
    tmp_path: Path,
    share: int,
) -> None:
    plan = FramePlan(input_hw=SIZE_HW, network_hw=SIZE_HW, output_hw=SIZE_HW, with_confidence=False)
    image_HWC, labels = draw_image(*SIZE_HW, 11), []
    for path, precision in ((tiny_weights, "f32"), (make_file(ranges), "int8")):
        backend = open_backend(WeightFile(path), "openvino", precision, (1.0,), 0, tmp_path, None)
        run = backend.prepare((plan,), Lane(index=share - 1, share=share))
        (found,) = run([image_HWC], 0.0, StageClock())
        labels.append(found.labels_HW)
    assert 0.9 <= np.mean(labels[0] == labels[1]) < 1


def test_wrong_ranges_spoil_the_labels(
    ranges: dict[str, Range], make_file: MakeFile, tiny_weights: Path, tmp_path: Path
) -> None:
    broken = {layer: (low / 50, high / 50) for layer, (low, high) in ranges.items()}
    whole, integer = (
        Segmenter.from_weights(path, backend="openvino", precision=precision, cache_dir=tmp_path)
        for path, precision in ((tiny_weights, "f32"), (make_file(broken), "int8"))
    )
    image_HWC = draw_image(*SIZE_HW)
    assert np.mean(whole.segment(image_HWC).labels == integer.segment(image_HWC).labels) < 0.8


def test_int8_needs_ranges(tiny_weights: Path) -> None:
    with pytest.raises(BackendError, match="run `proxia quantise`"):
        Segmenter.from_weights(tiny_weights, backend="openvino", precision="int8")


def test_a_range_of_an_unknown_layer_is_refused(
    ranges: dict[str, Range], make_file: MakeFile, tmp_path: Path
) -> None:
    path = make_file(ranges | {"backbone.conv9": (0.0, 1.0)})
    with pytest.raises(BackendError, match=r"no layer 'backbone.conv9'"):
        Segmenter.from_weights(path, backend="openvino", precision="int8", cache_dir=tmp_path)


def test_a_head_of_few_rows_stays_float(ranges: dict[str, Range], make_file: MakeFile) -> None:
    assert "ocr.conv3x3_ocr.0.part2" in ranges
    few_hw = (18, 64)
    source = WeightFile(make_file(ranges))
    graph = convert_network(source.load(), source.card, (1.0,), few_hw, ranges)
    layers = dict(list_layers(graph))
    assert "ocr.conv3x3_ocr.0.part2" not in layers
    for layer, is_rounded in (("ocr.conv3x3_ocr.0.direct", False), ("ocr.cls_head", True)):
        kind = layers[layer].input_value(0).get_node().get_type_name()
        assert (kind == "FakeQuantize") is is_rounded


def test_torch_runs_no_int8(ranges: dict[str, Range], make_file: MakeFile) -> None:
    with pytest.raises(BackendError, match="torch on the CPU runs no int8"):
        Segmenter.from_weights(make_file(ranges), backend="torch", precision="int8")


def test_ranges_are_those_of_the_file(ranges: dict[str, Range], make_file: MakeFile) -> None:
    quantisation = read_quantisation(make_file(ranges))
    assert quantisation is not None
    assert quantisation.ranges == ranges


def test_one_scale_of_several_needs_no_attention_in_int8() -> None:
    card = make_card(architecture="hrnet_w18_small_v1_ocr_mscale", scales=(0.5, 1.0))
    network = make_network(card)
    ranges = {layer: (-3.0, 3.0) for layer, _ in list_layers(make_graph((0.5, 1.0)))}
    assert any(layer.startswith("scale_attn") for layer in ranges)
    graph = convert_network(network, card, (1.0,), SIZE_HW, ranges)
    kinds = {node.input_value(0).get_node().get_type_name() for _, node in list_layers(graph)}
    assert kinds == {"FakeQuantize"}


def test_parts_of_a_pruned_network_refuse_a_range_of_an_unknown_layer() -> None:
    card = make_card(architecture="hrnet_w18_small_v1_ocr_mscale", scales=(0.5, 1.0))
    part = FullImagePassGraph(make_network(card), card, 1.0, with_attention=True).eval()
    example = torch.zeros((1, *SIZE_HW, 3), dtype=torch.uint8)
    ranges = {"backbone.conv9": (0.0, 1.0)}
    with pytest.raises(BackendError, match=r"no layer 'backbone.conv9'"):
        convert_module(part, (example,), "a part", ranges)
