"""Sizes, results and refusals of the networks, and their way out through torch.export."""

import pytest
import torch
from torch import nn

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.model.network.blocks import resize_bilinear
from proxia_segmentation_ros.model.network.hrnet_ocr import (
    ARCHITECTURES,
    HRNetOcr,
    HRNetOcrMultiScale,
    build_model,
)
from proxia_segmentation_ros.model.network.scale_attention import fuse_scales, scale_size

SMALL = "hrnet_w18_small_v1_ocr"


def build_small(architecture: str, num_classes: int = 5) -> HRNetOcr | HRNetOcrMultiScale:
    torch.manual_seed(0)
    return build_model(architecture, num_classes, ocr_mid=16, ocr_key=8, attention_mid=8).eval()


def count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("architecture", "num_classes", "parameters"),
    [
        ("hrnet_w48_ocr", 19, 70_372_678),
        ("hrnet_w48_ocr_mscale", 19, 72_143_430),
        ("hrnet_w48_ocr_mscale", 65, 72_200_194),
    ],
)
def test_parameter_count_is_the_reference_one(
    architecture: str, num_classes: int, parameters: int
) -> None:
    with torch.device("meta"):
        network = build_model(architecture, num_classes)
    assert count_parameters(network) == parameters


@pytest.mark.parametrize(
    ("architecture", "millions"),
    [("hrnet_w18_small_v1_ocr", 1.9), ("hrnet_w18_small_v2_ocr", 4.3)],
)
def test_slim_small_networks_are_small(architecture: str, millions: float) -> None:
    with torch.device("meta"):
        network = build_model(architecture, 11, ocr_mid=128, ocr_key=64)
    assert round(count_parameters(network) / 1e6, 1) == millions


def test_w48_has_the_parts_of_the_reference() -> None:
    with torch.device("meta"):
        network = build_model("hrnet_w48_ocr_mscale", 19)
    assert {name: count_parameters(part) for name, part in network.named_children()} == {
        "backbone": 65_325_120,
        "ocr": 5_047_558,
        "scale_attn": 1_770_752,
    }


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_can_be_built(architecture: str) -> None:
    with torch.device("meta"):
        network = build_model(architecture, 7, ocr_mid=16, ocr_key=8, attention_mid=8)
    is_multi_scale = architecture.endswith("_mscale")
    assert isinstance(network, HRNetOcrMultiScale if is_multi_scale else HRNetOcr)


@pytest.mark.parametrize(
    "architecture",
    ["hrnet_w18_ocr", "hrnet_w18_small_v2_ocr", SMALL, f"{SMALL}_mscale"],
)
def test_logits_have_the_input_size(architecture: str) -> None:
    network = build_small(architecture, num_classes=7)
    with torch.no_grad():
        assert network(torch.rand(2, 3, 75, 101)).shape == (2, 7, 75, 101)


@pytest.mark.parametrize("suffix", ["", "_mscale"])
def test_train_and_eval_mode_give_the_same_kinds(suffix: str) -> None:
    network = build_small(SMALL + suffix)
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        found = {
            mode: (network.train(mode)(image), network.outputs(image)) for mode in (True, False)
        }
    for mode in (True, False):
        logits, outputs = found[mode]
        assert isinstance(logits, torch.Tensor)
        assert logits.shape == outputs.logits.shape == outputs.aux_logits.shape == (2, 5, 64, 64)
        assert logits.isfinite().all()
    assert set(found[True][1].logits_by_scale) == set(found[False][1].logits_by_scale)


def test_outputs_fuse_the_passes_of_all_scales() -> None:
    network = build_small(f"{SMALL}_mscale")
    assert isinstance(network, HRNetOcrMultiScale)
    image = torch.rand(1, 3, 75, 101)
    scales = (2.0, 0.5, 1.0)
    with torch.no_grad():
        outputs = network.outputs(image, scales)
        passes = {
            scale: network.forward_scale(resize_bilinear(image, scale_size((75, 101), scale)))
            for scale in sorted(scales)
        }
    logits, aux_logits = fuse_scales(passes)
    assert torch.equal(outputs.logits, logits)
    assert torch.equal(outputs.aux_logits, aux_logits)
    assert outputs.logits_by_scale[0.5].shape == (1, 5, 37, 50)
    assert outputs.attention_by_scale[2.0].shape == (1, 1, 150, 202)


def test_one_scale_alone_is_not_weighted() -> None:
    network = build_small(f"{SMALL}_mscale")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        outputs = network.outputs(image, (1.0,))
    assert torch.equal(outputs.logits, outputs.logits_by_scale[1.0])


def test_default_scales_are_half_and_full() -> None:
    network = build_small(f"{SMALL}_mscale")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(image), network(image, [1.0, 0.5]))


def test_batch_rows_do_not_see_each_other() -> None:
    network = build_small(SMALL)
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        together = network(images)
        alone = network(images[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


def test_networks_of_one_seed_are_equal() -> None:
    first, second = (build_small(SMALL).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("suffix", ["", "_mscale"])
def test_every_parameter_gets_a_gradient(suffix: str) -> None:
    network = build_small(SMALL + suffix).train()
    outputs = network.outputs(torch.rand(2, 3, 64, 64))
    (outputs.logits.square().mean() + outputs.aux_logits.square().mean()).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_unknown_architecture_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'hrnet_w32_ocr'; expected one of hrnet_w48_ocr,"):
        build_model("hrnet_w32_ocr", 19)


@pytest.mark.parametrize("name", ["ocr_mid", "ocr_key", "attention_mid"])
def test_size_below_one_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is 0; expected at least 1"):
        build_model(SMALL, 5, **{name: 0})


@pytest.mark.parametrize("scales", [[0.5, 2.0], [], [1.0, -0.5], [1.0, 0.0]])
def test_scales_without_one_are_refused(scales: list[float]) -> None:
    with torch.device("meta"):
        network = build_model(f"{SMALL}_mscale", 5)
    with pytest.raises(ConfigError, match=r"expected positive numbers that hold 1\.0"):
        network(torch.empty(1, 3, 64, 64, device="meta"), scales)


def test_single_scale_network_refuses_other_scales() -> None:
    with torch.device("meta"):
        network = build_model(SMALL, 5)
        image = torch.empty(1, 3, 64, 64)
    assert network(image, [1.0]).shape == (1, 5, 64, 64)
    with pytest.raises(ConfigError, match="single-scale network"):
        network(image, [0.5, 1.0])


@pytest.mark.parametrize(
    ("architecture", "is_strict"),
    [
        ("hrnet_w48_ocr", False),
        ("hrnet_w48_ocr_mscale", False),
        # The strict way traces bytecode, and fails where a graph would break.
        ("hrnet_w18_small_v1_ocr_mscale", True),
    ],
)
def test_exported_network_equals_eager(architecture: str, is_strict: bool) -> None:
    network = build_small(architecture)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        exported = torch.export.export(network, (image,), strict=is_strict)
        torch.testing.assert_close(exported.module()(image), network(image))


@pytest.fixture(scope="module")
def multi() -> HRNetOcrMultiScale:
    network = build_small(f"{SMALL}_mscale")
    assert isinstance(network, HRNetOcrMultiScale)
    return network


def test_a_part_in_its_own_context_is_a_pass_before_it_is_enlarged(
    multi: HRNetOcrMultiScale,
) -> None:
    image = torch.randn(1, 3, 75, 101)
    with torch.no_grad():
        whole, part = multi.forward_scale(image), multi.forward_part(image)
        again = multi.forward_part(image, part.context_NCK1)
    assert part.logits_NKHW.shape[-2:] == (19, 26)
    assert part.context_NCK1.shape == (1, 16, 5, 1)
    enlarged = resize_bilinear(part.logits_NKHW, (75, 101))
    torch.testing.assert_close(enlarged, whole.logits_NKHW)
    torch.testing.assert_close(
        resize_bilinear(part.attention_N1HW, (75, 101)), whole.attention_N1HW
    )
    torch.testing.assert_close(again.logits_NKHW, part.logits_NKHW)


def test_tiles_take_their_context_from_elsewhere(multi: HRNetOcrMultiScale) -> None:
    tiles = torch.randn(2, 3, 64, 64)
    contexts = torch.randn(2, 16, 5, 1)
    with torch.no_grad():
        both = multi.forward_part(tiles, contexts)
        alone = multi.forward_part(tiles[1:], contexts[1:])
        own = multi.forward_part(tiles[1:])
    torch.testing.assert_close(both.logits_NKHW[1:], alone.logits_NKHW, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(alone.logits_NKHW, own.logits_NKHW, atol=1e-3)
