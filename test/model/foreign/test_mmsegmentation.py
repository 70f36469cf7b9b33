"""Checkpoints in mmsegmentation's layout give the logits that their description gives."""

import dataclasses
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmseg_layout import HR18, HR18S, HR48, Config, Variant, forward, list_tensors, make_state

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.model.checkpoint import load_foreign, load_weights
from proxia_segmentation_ros.model.foreign.checkpoints import read_foreign_checkpoint
from proxia_segmentation_ros.model.foreign.mmsegmentation import name_in_file, translate
from proxia_segmentation_ros.model.network.hrnet_ocr import build_model

SLIM = dataclasses.replace(HR18S, mid=32, key=16)
TOLERANCE = 1e-9


def write(path: Path, state: dict[str, Any], **meta: Any) -> Path:
    torch.save({"meta": meta, "state_dict": state}, path)
    return path


@pytest.fixture(scope="module")
def slim_state() -> dict[str, torch.Tensor]:
    return make_state(SLIM)


@pytest.fixture
def slim_file(tmp_path: Path, slim_state: dict[str, torch.Tensor]) -> Path:
    return write(tmp_path / "slim.pth", slim_state)


def compare(path: Path, state: dict[str, torch.Tensor], config: Config, size: tuple[int, int],
            variant: Variant | None = None) -> float:  # fmt: skip
    """Return the largest difference of the logits in float64, in units of their deviation."""
    network, _ = load_weights(path)
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(5)).double()
    doubled = {
        key: value.double() if value.is_floating_point() else value for key, value in state.items()
    }
    with torch.no_grad():
        ours = network.double()(image)
        theirs = forward(doubled, image, config, variant)
    assert ours.shape == theirs.shape == (1, config.classes, *size)
    assert len(theirs.argmax(1).unique()) > 1, "a flat answer would show nothing"
    return float((ours - theirs).abs().max() / theirs.std())


@pytest.mark.parametrize(
    ("config", "architecture"),
    [(HR18S, "hrnet_w18_small_v2_ocr"), (HR18, "hrnet_w18_ocr"), (HR48, "hrnet_w48_ocr")],
    ids=["hr18s", "hr18", "hr48"],
)
@pytest.mark.parametrize("classes", [19, 150])
@pytest.mark.slow
def test_every_tensor_has_its_place(config: Config, architecture: str, classes: int) -> None:
    with torch.device("meta"):
        network = build_model(architecture, classes)
        there = {
            key: torch.empty(shape)
            for key, shape in list_tensors(dataclasses.replace(config, classes=classes)).items()
        }
    ours = translate(Path("meta.pth"), there)
    wanted = network.state_dict()
    assert {key: value.shape for key, value in ours.items()} == {
        key: value.shape for key, value in wanted.items()
    }
    biases = {"decode_head.0.convs.0.conv.bias", "decode_head.1.bottleneck.conv.bias"}
    assert {name_in_file(key) for key in wanted} == set(there) | biases


@pytest.mark.parametrize(
    ("config", "architecture"),
    [
        (HR18S, "hrnet_w18_small_v2_ocr"),
        (dataclasses.replace(HR18S, classes=150), "hrnet_w18_small_v2_ocr"),
        (HR18, "hrnet_w18_ocr"),
        (dataclasses.replace(HR48, classes=150), "hrnet_w48_ocr"),
    ],
    ids=["hr18s_19", "hr18s_150", "hr18_19", "hr48_150"],
)
@pytest.mark.slow
def test_logits_are_those_of_the_description(
    tmp_path: Path, config: Config, architecture: str
) -> None:
    state = make_state(config)
    path = write(tmp_path / "some.pth", state, CLASSES=None)
    assert read_card(path).architecture == architecture
    assert compare(path, state, config, (64, 96)) < TOLERANCE


@pytest.mark.parametrize(
    "variant",
    [
        Variant(eps=1e-3),
        Variant(align_corners=True),
        Variant(context_first=False),
        Variant(swap_query_and_key=True),
        Variant(softmax_of_classes=True),
    ],
    ids=["eps", "corners", "joined_the_other_way", "query_for_key", "other_softmax"],
)
@pytest.mark.slow
def test_comparison_would_tell_a_misreading(
    slim_file: Path, slim_state: dict[str, torch.Tensor], variant: Variant
) -> None:
    assert compare(slim_file, slim_state, SLIM, (64, 96)) < TOLERANCE
    assert compare(slim_file, slim_state, SLIM, (64, 96), variant) > 1e6 * TOLERANCE


def test_sides_that_are_no_multiples_of_32_differ_a_little(
    slim_file: Path, slim_state: dict[str, torch.Tensor]
) -> None:
    difference = compare(slim_file, slim_state, SLIM, (90, 118))
    # The documented difference: a second resizing, no other reading of the image.
    assert 0.001 < difference < 1


def test_prefix_of_a_parallel_run_is_no_matter(
    tmp_path: Path, slim_state: dict[str, torch.Tensor]
) -> None:
    state = {f"module.{key}": value for key, value in slim_state.items()}
    path = write(tmp_path / "parallel.pth", state)
    assert compare(path, slim_state, SLIM, (32, 64)) < TOLERANCE


class HistoryBuffer:
    """Pickles as MMEngine's class of this name does: arrays, and functions of its own."""

    def __init__(self) -> None:
        self.log_history = np.array([0.5, 0.25])

    def mean(self) -> float:
        return float(self.log_history.mean())

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"statistics_methods": {"mean": HistoryBuffer.mean}}


def test_training_log_of_mmengine_is_passed_over(
    tmp_path: Path, slim_state: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "iter_40000.pth"
    log = {"log_scalars": {"train/loss": HistoryBuffer()}, "runtime_info": {"iter": np.int64(3)}}
    home = "mmengine.logging.history_buffer"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("mmengine", "mmengine.logging", home):
            patch.setitem(sys.modules, name, types.ModuleType(name))
        patch.setattr(HistoryBuffer, "__module__", home)
        patch.setattr(HistoryBuffer.mean, "__module__", home)
        patch.setattr(sys.modules[home], "HistoryBuffer", HistoryBuffer, raising=False)
        torch.save({"meta": {}, "state_dict": slim_state, "message_hub": log}, path)
    unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    assert {f"{home}.HistoryBuffer", "builtins.getattr", "numpy.ndarray"} <= set(unsafe)
    assert compare(path, slim_state, SLIM, (32, 64)) < TOLERANCE


def test_card_says_what_the_checkpoint_knows(
    tmp_path: Path, slim_state: dict[str, torch.Tensor]
) -> None:
    names = [name.replace("_", " ") for name in load_label_set("cityscapes").names]
    path = write(
        tmp_path / "old.pth",
        slim_state,
        mmseg_version="0.5.0+abc",
        config="dataset_type = 'CityscapesDataset'\ndata_root = 'data/cityscapes/'",
        CLASSES=tuple(names),
        PALETTE=[[index, 0, 0] for index in range(19)],
    )
    card = read_card(path)
    assert (card.ocr_mid, card.ocr_key, card.size_hw) == (32, 16, (1024, 2048))
    assert (card.channel_order, card.mean[0], card.std[2]) == ("rgb", 123.675 / 255, 57.375 / 255)
    assert card.to_label_set().names == load_label_set("cityscapes").names
    assert card.label_set.classes[0].rgb == (128, 64, 128)
    assert card.training_data == "CityscapesDataset"
    assert card.made_with == "mmsegmentation checkpoint old.pth, version 0.5.0+abc"


def test_classes_of_ade20k_are_the_shipped_ones(tmp_path: Path) -> None:
    shipped = load_label_set("ade20k")
    names = [name.replace("_", " ") for name in shipped.names]
    names[names.index("bed")] = "bed "
    names[names.index("television")] = "television receiver"
    state = make_state(dataclasses.replace(SLIM, classes=150))
    for meta in ({}, {"CLASSES": names}, {"dataset_meta": {"classes": tuple(names)}}):
        card = read_card(write(tmp_path / "ade.pth", state, **meta))
        assert (card.label_set.name, card.size_hw) == ("ade20k", (512, 672))
        assert card.to_label_set().names == shipped.names
    names[3] = "another floor"
    card = read_card(write(tmp_path / "ade.pth", state, CLASSES=names))
    assert (card.label_set.name, card.label_set.classes[3].name) == ("classes_150", "another_floor")


@pytest.mark.parametrize("odd", [[300, 0, 0], [float("inf"), 0, 0], "red"])
@pytest.mark.parametrize("is_new", [True, False], ids=["version 1", "version 0"])
def test_classes_of_the_checkpoint_are_kept(tmp_path: Path, is_new: bool, odd: Any) -> None:
    state = make_state(dataclasses.replace(SLIM, classes=3))
    names, palette = ("Left Rail", "right-rail ", "sky"), [[1, 2, 3], (4, 5, 6), odd]
    meta: dict[str, Any] = {"CLASSES": names, "PALETTE": palette}
    if is_new:
        meta = {"dataset_meta": {"classes": list(names), "palette": palette}}
    card = read_card(write(tmp_path / "own.pth", state, cfg="dataset_type = 'RailDataset'", **meta))
    assert card.label_set.name == "rail"
    assert card.to_label_set().names == ("left_rail", "right_rail", "sky")
    assert [label_class.rgb for label_class in card.label_set.classes][:2] == [(1, 2, 3), (4, 5, 6)]
    assert all(0 <= value <= 255 for value in card.label_set.classes[2].rgb)
    assert card.size_hw == (512, 512)


@pytest.mark.parametrize("classes", [["a", "a", "b"], ["a", "b"], ["", "a", "b"], "abc", 3, None])
def test_names_that_make_no_sense_become_numbers(tmp_path: Path, classes: Any) -> None:
    state = make_state(dataclasses.replace(SLIM, classes=3))
    card = read_card(write(tmp_path / "own.pth", state, CLASSES=classes))
    assert (card.label_set.name, card.label_set.classes[2].name) == ("classes_3", "class_2")


def test_every_difference_is_told_by_its_name_there(
    tmp_path: Path, slim_state: dict[str, torch.Tensor]
) -> None:
    block = "decode_head.1.object_context_block"
    state = dict(slim_state)
    del state[f"{block}.value_project.bn.bias"]
    del state["backbone.stage2.0.branches.1.0.conv1.weight"]
    state["decode_head.1.gate.weight"] = torch.zeros(1)
    state["auxiliary_head.conv_seg.bias"] = torch.zeros(1)
    state["decode_head.0.conv_seg.bias"] = torch.zeros(18)
    state[f"{block}.key_project.1.conv.weight"] = torch.zeros(16, 16, 3, 3)
    foreign = read_foreign_checkpoint(write(tmp_path / "odd.pth", state))
    with pytest.raises(WeightsError) as caught:
        load_foreign(foreign, "odd.pth", max_listed=None)
    sentence = str(caught.value)
    for part in (
        f"lacks {block}.value_project.bn.bias",
        "lacks backbone.stage2.0.branches.1.0.conv1.weight",
        "has decode_head.1.gate.weight besides",
        "has auxiliary_head.conv_seg.bias besides",
        "decode_head.0.conv_seg.bias is float 18 where float 19 belongs",
        f"{block}.key_project.1.conv.weight is float 16x16x3x3 where float 16x16x1x1 belongs",
    ):
        assert part in sentence
    assert len(re.findall(r"lacks|besides|belongs", sentence)) == 6
    with pytest.raises(WeightsError, match=r"and 3 more; expected the tensors of"):
        load_weights(tmp_path / "odd.pth")


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        ("decode_head.1.", r"lacks decode_head\.1\.conv_seg\.weight; expected an HRNet with OCR"),
        ("backbone.", r"lacks backbone\.transition1\.0\.0\.weight; expected an HRNet with OCR"),
    ],
)
def test_other_networks_of_mmsegmentation_are_refused(
    tmp_path: Path, slim_state: dict[str, torch.Tensor], lost: str, told: str
) -> None:
    state = {key: value for key, value in slim_state.items() if not key.startswith(lost)}
    with pytest.raises(WeightsError, match=told):
        load_weights(write(tmp_path / "other.pth", state))


def test_two_tensors_for_one_place_are_refused(
    tmp_path: Path, slim_state: dict[str, torch.Tensor]
) -> None:
    state = slim_state | {"ocr.cls_head.bias": torch.zeros(19)}
    with pytest.raises(WeightsError, match=r"another tensor for ocr\.cls_head\.bias; expected one"):
        load_weights(write(tmp_path / "twice.pth", state))
