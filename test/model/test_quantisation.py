"""What a weight file says about int8: beside the card, the tensors untouched."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.model.checkpoint import load_weights, save_weights
from proxia_segmentation_ros.model.network.hrnet_ocr import HRNetOcr
from proxia_segmentation_ros.model.quantisation import (
    QUANTISATION_KEY,
    Quantisation,
    copy_with_quantisation,
    read_quantisation,
)
from proxia_segmentation_ros.model.weight_file import copy_with_temperature, replace_metadata


def make_quantisation(**changes: Any) -> Quantisation:
    values: dict[str, object] = {
        "ranges": {"backbone.conv1": (-2.1, 2.6), "ocr.cls_head": (0.0, 7.5)},
        "images": 3,
        "miou": 0.7,
        "lost_points": 0.2,
        "gate_points": 0.5,
        "agreement": 0.99,
        "speedup": 1.5,
        "compared_with": "f32",
        "cpu": "some CPU",
    }
    return Quantisation.model_validate(values | changes)


@pytest.fixture
def saved(tmp_path: Path, small_network: HRNetOcr, small_card: ModelCard) -> Path:
    path = tmp_path / "small.safetensors"
    save_weights(path, small_network, small_card)
    return path


def test_copy_says_what_was_found_and_loads_as_before(saved: Path, tmp_path: Path) -> None:
    target, quantisation = tmp_path / "int8.safetensors", make_quantisation()
    copy_with_quantisation(saved, target, quantisation)
    assert read_quantisation(target) == quantisation
    assert read_card(target) == read_card(saved)
    (before, _), (after, _) = load_weights(saved), load_weights(target)
    for key, value in before.state_dict().items():
        assert torch.equal(after.state_dict()[key], value)


def test_a_plain_file_says_nothing(saved: Path) -> None:
    assert read_quantisation(saved) is None


def test_another_temperature_keeps_the_ranges(saved: Path, tmp_path: Path) -> None:
    quantised, calibrated = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    copy_with_quantisation(saved, quantised, make_quantisation())
    copy_with_temperature(quantised, calibrated, 1.5)
    assert read_quantisation(calibrated) == make_quantisation()


def test_what_another_version_wrote_is_refused(saved: Path) -> None:
    text = json.dumps(make_quantisation().model_dump() | {"ranges": {"backbone.conv1": [1.0]}})
    saved.write_bytes(replace_metadata(saved, {QUANTISATION_KEY: text}))
    with pytest.raises(WeightsError, match="quantise the weights again"):
        read_quantisation(saved)


def test_ranges_of_retrained_weights_are_gone(saved: Path, tmp_path: Path) -> None:
    quantised, retrained = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    copy_with_quantisation(saved, quantised, make_quantisation())
    save_weights(retrained, *load_weights(quantised))
    assert read_quantisation(retrained) is None


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [({}, True), ({"speedup": 1.19}, False), ({"lost_points": 0.51}, False)],
)
def test_it_is_worthwhile_within_the_gate_and_a_fifth_faster(
    changes: dict[str, float], wanted: bool
) -> None:
    assert make_quantisation(**changes).is_worthwhile is wanted
