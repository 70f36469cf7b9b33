"""What goes into TensorRT engines: the same labels as torch's, and only operations it converts."""

import importlib
import re
from pathlib import Path

import pytest
import torch
from tiny_network import make_card, make_network
from torch import nn

from proxia_segmentation_ros.backends.graph.tensorrt_graph import (
    EngineArgmax,
    EngineNetwork,
    export_module,
)
from proxia_segmentation_ros.backends.graph.torch_graph import (
    NetworkGraph,
    argmax_labels_and_confidence,
)

pytestmark = pytest.mark.slow

SINGLE = "hrnet_w18_small_v1_ocr"
# What torch-tensorrt 2.13.0 converts, as far as this project needs it, after the decompositions
# of either library. `max.dim` is not among them: its converter refuses to give the index.
NEEDED = {
    "aten._reshape_copy.default",
    "aten._softmax.default",
    "aten._to_copy.default",
    "aten.add.Tensor",
    "aten.amax.default",
    "aten.argmax.default",
    "aten.bmm.default",
    "aten.cat.default",
    "aten.clone.default",
    "aten.convolution.default",
    "aten.div.Tensor",
    "aten.exp.default",
    "aten.expand.default",
    "aten.flip.default",
    "aten.full.default",
    "aten.ge.Tensor",
    "aten.matmul.default",
    "aten.mul.Tensor",
    "aten.permute.default",
    "aten.reciprocal.default",
    "aten.relu.default",
    "aten.round.default",
    "aten.sigmoid.default",
    "aten.sub.Tensor",
    "aten.sum.dim_IntList",
    "aten.unsqueeze.default",
    "aten.upsample_bilinear2d.vec",
    "aten.view.default",
    "aten.where.self",
}
CHECK = "aten._assert_tensor_metadata.default"
LABEL_INPUTS = (torch.zeros((1, 11, 24, 32)), torch.zeros(1))
NETWORKS = [
    (SINGLE, (1.0,)),
    (f"{SINGLE}_mscale", (0.5, 1.0)),
    (f"{SINGLE}_mscale", (0.5, 1.0, 2.0)),
]


def make_engine_network(
    architecture: str, scales: tuple[float, ...], precision: str = "f32"
) -> tuple[NetworkGraph, EngineNetwork]:
    card = make_card(architecture=architecture, channel_order="bgr")
    model = make_network(card)
    # A drawn norm would hide whether it was folded.
    generator = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    return NetworkGraph(model, card, scales).eval(), EngineNetwork(model, card, scales, precision)


def draw_images(batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (batch, 96, 128, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(("architecture", "scales"), NETWORKS)
def test_logits_are_those_of_the_plain_graph(architecture: str, scales: tuple[float, ...]) -> None:
    plain, engine = make_engine_network(architecture, scales)
    images_NHWC = draw_images(2)
    with torch.no_grad():
        expected = plain(images_NHWC)
        found = engine(images_NHWC)
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 1e-3 * expected.abs().max()


def test_every_norm_is_folded_and_the_network_given_stays_whole() -> None:
    plain, engine = make_engine_network(*NETWORKS[1])
    assert not [m for m in engine.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [m for m in plain.modules() if isinstance(m, nn.BatchNorm2d)]
    assert next(plain.network.parameters()).requires_grad


def test_half_precision_is_that_of_the_convolutions_and_not_of_the_doors() -> None:
    _, engine = make_engine_network(SINGLE, (1.0,), "f16")
    kinds = {m.weight.dtype for m in engine.modules() if isinstance(m, nn.Conv2d)}
    assert kinds == {torch.float16}
    assert engine.mean_NCHW.dtype == torch.float32
    exported = export_module(engine, (draw_images(),))
    (output,) = [node for node in exported.graph.nodes if node.op == "output"]
    assert output.args[0][0].meta["val"].dtype == torch.float32


def test_pixels_are_floats_before_anything_else_happens_to_them() -> None:
    _, engine = make_engine_network(SINGLE, (1.0,), "f16")
    exported = export_module(engine, (draw_images(),)).run_decompositions()
    uint8_readers = {
        str(user.target)
        for node in exported.graph.nodes
        if getattr(node.meta.get("val"), "dtype", None) == torch.uint8
        for user in node.users
    }
    assert uint8_readers - {CHECK} == {"aten._to_copy.default"}


@pytest.mark.parametrize("output_hw", [(24, 32), (90, 120)])
def test_ids_and_confidence_are_those_of_the_label_rule(output_hw: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(5)
    logits_1KHW = torch.randn((1, 11, 24, 32), generator=generator)
    rule = EngineArgmax(output_hw, 1.3, 255)
    ids, probability = argmax_labels_and_confidence(logits_1KHW, output_hw, 1.3)
    found_ids, found_confidence = rule(logits_1KHW, torch.zeros(1))
    assert (found_ids.dtype, found_confidence.dtype) == (torch.int32, torch.int32)
    torch.testing.assert_close(found_ids.long(), ids)
    torch.testing.assert_close(found_confidence, (probability * 255).round().int())
    least = probability.median()
    found_ids, _ = rule(logits_1KHW, least.reshape(1))
    torch.testing.assert_close(found_ids.long(), ids.where(probability >= least, 255))
    assert (found_ids == 255).any()


def decompose(exported: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    try:
        lowering = importlib.import_module("torch_tensorrt.dynamo.lowering")
    except Exception:  # noqa: BLE001 - torch_tensorrt raises bare Exception without TensorRT
        # torch's own table, less what torch_tensorrt converts as it is.
        table = torch.export.default_decompositions()
        for name in ("upsample_bilinear2d.vec", "matmul.default"):
            packet, overload = name.split(".")
            table.pop(getattr(getattr(torch.ops.aten, packet), overload), None)
        return exported.run_decompositions(table)
    return exported.run_decompositions(lowering.get_decompositions())


def list_operations(module: nn.Module, examples: tuple[torch.Tensor, ...]) -> set[str]:
    exported = decompose(export_module(module, examples))
    targets = {str(n.target) for n in exported.graph.nodes if n.op == "call_function"}
    # Checks of types, which give no tensor: torch_tensorrt takes them out.
    return targets - {CHECK}


@pytest.mark.parametrize(
    ("architecture", "scales", "precision"),
    [(*NETWORKS[0], "f32"), (*NETWORKS[1], "f16"), (*NETWORKS[2], "f16")],
)
def test_every_operation_of_the_network_has_a_converter(
    architecture: str, scales: tuple[float, ...], precision: str
) -> None:
    _, engine = make_engine_network(architecture, scales, precision)
    assert list_operations(engine, (draw_images(),)) <= NEEDED


@pytest.mark.parametrize("output_hw", [(24, 32), (90, 120)])
def test_every_operation_of_the_label_rule_has_a_converter(output_hw: tuple[int, int]) -> None:
    labels = EngineArgmax(output_hw, 1.3, 255)
    assert list_operations(labels, LABEL_INPUTS) <= NEEDED


def test_what_is_needed_is_in_the_registry(shared_dir: Path) -> None:
    path = shared_dir / "spec" / "tensorrt_converters.txt"
    if not path.is_file():
        pytest.skip(f"no list of converters at {path}")
    listed = set(re.findall(r"^(?:aten|prims)\.\S+$", path.read_text(), re.MULTILINE))
    # torch-tensorrt itself takes a clone away before it converts.
    assert NEEDED - listed == set()


def test_class_ids_leave_as_int32_because_uint8_is_refused() -> None:
    exported = export_module(EngineArgmax((90, 120), 1.3, 255), LABEL_INPUTS)
    casts = [n for n in exported.run_decompositions().graph.nodes if "_to_copy" in str(n.target)]
    assert {n.kwargs["dtype"] for n in casts} == {torch.int32}
