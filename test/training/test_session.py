"""A whole run from a recipe to a weight file."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.model.checkpoint import load_weights
from proxia_segmentation_ros.training.recipe import load_recipe
from proxia_segmentation_ros.training.session import (
    build_network,
    load_initial_weights,
    make_card,
    measure_miou,
    read_parent_card,
    train_from_recipe,
)

SMALL = [
    "model.ocr_mid=8",
    "model.ocr_key=4",
    "model.size_hw=[32, 48]",
    "augmentation.crop_hw=[32, 32]",
    "steps=2",
    "batch_size=2",
    "validate_every=2",
    "threads=1",
]


@pytest.fixture
def camvid_folder(tmp_path: Path) -> Path:
    for name in ("train", "trainannot", "val", "valannot"):
        (tmp_path / name).mkdir()
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for index in range(2):
            image_bgr = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
            mask = rng.integers(0, 12, (40, 60), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / part / f"{index}.png"), image_bgr)
            cv2.imwrite(str(tmp_path / f"{part}annot" / f"{index}.png"), mask)
    return tmp_path


@pytest.mark.slow
def test_recipe_ends_in_loadable_weights(camvid_folder: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    overrides = [*SMALL, f"data.root={camvid_folder}", "data.synthetic_weight=0"]
    path = train_from_recipe("camvid", overrides, out=tmp_path / "run", report=rows.append)
    model, card = load_weights(path)
    assert card.name == "camvid"
    assert card.size_hw == (32, 48)
    assert "CC BY-NC" in card.terms
    assert card.scores["val_miou"] == rows[-1]["val_miou"]
    assert model(torch.zeros(1, 3, 32, 48)).shape == (1, 11, 32, 48)


def test_synthetic_recipe_needs_no_files(tmp_path: Path) -> None:
    overrides = [*SMALL, "data.synthetic_size_hw=[64, 96]", "steps=1", "validate_every=1"]
    path = train_from_recipe("synthetic", overrides, out=tmp_path, report=lambda row: None)
    assert 0 <= load_weights(path)[1].scores["synthetic_miou"] <= 1


def test_missing_data_is_named(tmp_path: Path) -> None:
    overrides = [*SMALL, f"data.root={tmp_path / 'gone'}"]
    with pytest.raises(InputError, match="gone/train"):
        train_from_recipe("camvid", overrides, out=tmp_path, report=lambda row: None)


def test_run_is_not_overwritten_by_another(camvid_folder: Path, tmp_path: Path) -> None:
    overrides = [*SMALL, f"data.root={camvid_folder}", "data.synthetic_weight=0"]
    path = train_from_recipe("camvid", overrides, out=tmp_path / "run", report=lambda row: None)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"run holds a run already.*--resume"):
        train_from_recipe("camvid", overrides, out=tmp_path / "run", report=lambda row: None)
    assert path.read_bytes() == before
    more = [*overrides, "steps=3"]
    train_from_recipe("camvid", more, out=tmp_path / "run", resume=True, report=lambda row: None)


def test_weights_start_from_the_seed() -> None:
    recipe = load_recipe("camvid", SMALL)
    first, same = build_network(recipe, 11), build_network(recipe, 11)
    other = build_network(recipe.model_copy(update={"seed": 77}), 11)
    assert torch.equal(first.ocr.cls_head.weight, same.ocr.cls_head.weight)
    assert not torch.equal(first.ocr.cls_head.weight, other.ocr.cls_head.weight)


def test_broken_files_are_listed_before_the_first_step(camvid_folder: Path, tmp_path: Path) -> None:
    """Also those of the validation, which come only after hours."""
    cv2.imwrite(str(camvid_folder / "trainannot" / "1.png"), np.zeros((41, 60), np.uint8))
    overrides = [*SMALL, f"data.root={camvid_folder}", "data.synthetic_weight=0"]
    steps: list[int] = []

    def train() -> None:
        train_from_recipe(
            "camvid",
            overrides,
            out=tmp_path / "run",
            report=lambda row: None,
            on_step=lambda step, _steps: steps.append(step),
        )

    with pytest.raises(InputError, match=r"1 of 2 pairs of .*train(.|\n)*1\.png' is \(41, 60\)"):
        train()
    cv2.imwrite(str(camvid_folder / "trainannot" / "1.png"), np.zeros((40, 60), np.uint8))
    image = camvid_folder / "val" / "0.png"
    image.write_bytes(image.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"1 of 2 pairs of .*val(.|\n)*0\.png': PNG .* truncated"):
        train()
    assert steps == []


def test_card_keeps_the_source_ids_of_the_training(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(
        "name: yard\nsource_ignore: [0]\nclasses:\n"
        "- {id: 0, name: ground, rgb: [1, 2, 3], source_ids: [1, 255]}\n"
        "- {id: 1, name: plant, rgb: [4, 5, 6], source_ids: [2]}\n"
    )
    recipe = load_recipe("camvid", [f"data.label_set={path}"])
    card = ModelCard.from_json(make_card(recipe, {}).to_json(), "here")
    assert card.to_label_set() == load_label_set(path)


def test_card_keeps_terms_and_training_data_of_the_initial_weights() -> None:
    recipe = load_recipe(
        "camvid",
        [
            "model.initial_weights=attention",
            "model.training_data=our yard",
            "model.terms=ours alone.",
        ],
    )
    parent = read_parent_card(recipe)
    assert parent is not None
    assert parent.terms
    card = make_card(recipe, {}, parent)
    assert card.terms == f"ours alone; started from {parent.name!r}: {parent.terms}"
    assert card.training_data == f"our yard; started from {parent.name!r}: {parent.training_data}"
    same = load_recipe("camvid", [f"model.terms={parent.terms!r}"])
    assert make_card(same, {}, parent).terms == parent.terms
    untold = parent.model_copy(update={"terms": ""})
    assert make_card(recipe, {}, untold).terms.endswith(f"started from {parent.name!r}: not stated")
    assert make_card(recipe, {}).terms == "ours alone."
    assert read_parent_card(load_recipe("camvid")) is None


def test_written_weights_carry_what_they_started_from(tmp_path: Path) -> None:
    overrides = [*SMALL, "data.synthetic_size_hw=[64, 96]", "steps=1", "validate_every=1"]
    started = [*overrides, "model.initial_weights=default", "model.initial_partial=true"]
    path = train_from_recipe("synthetic", started, out=tmp_path, report=lambda row: None)
    assert read_card("default").terms in read_card(path).terms
    assert read_card("default").training_data in read_card(path).training_data


def test_card_of_a_multi_scale_network_names_its_scales() -> None:
    recipe = load_recipe("camvid", ["model.architecture=hrnet_w18_small_v1_ocr_mscale"])
    assert make_card(recipe, {}).scales == (0.5, 1.0)


def test_score_is_one_for_a_network_that_is_right() -> None:
    class Bright(torch.nn.Module):
        def forward(self, image_NCHW: torch.Tensor) -> torch.Tensor:
            bright = image_NCHW.mean(1, keepdim=True)
            return torch.cat([-bright, bright], dim=1)

    labels_HW = np.zeros((32, 48), np.uint8)
    labels_HW[:, 24:] = 1
    image_HWC = np.repeat(labels_HW[..., None] * 255, 3, axis=2)
    matrix = measure_miou(Bright(), [(image_HWC, labels_HW)], (32, 48), 2)
    assert matrix.mean_iou() == 1.0


def test_run_starts_from_named_weights(tmp_path: Path) -> None:
    recipe = load_recipe("camvid", ["model.initial_weights=synthetic"])
    network = build_network(recipe, 11)
    load_initial_weights(network, recipe)
    known, _ = load_weights("synthetic")
    for name, tensor in known.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor, rtol=0, atol=0)


def test_initial_weights_of_another_network_are_refused() -> None:
    recipe = load_recipe("camvid", ["model.initial_weights=synthetic", "model.ocr_mid=32"])
    with pytest.raises(ConfigError, match=r"model.initial_weights 'synthetic' hold a hrnet_w18"):
        load_initial_weights(build_network(recipe, 11), recipe)


def test_partial_initial_weights_keep_what_fits(caplog: pytest.LogCaptureFixture) -> None:
    overrides = ["model.initial_weights=synthetic", "model.initial_partial=true"]
    recipe = load_recipe("camvid", [*overrides, "model.ocr_mid=32"])
    network = build_network(recipe, 11)
    fresh = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with caplog.at_level("INFO"):
        load_initial_weights(network, recipe)
    known = load_weights("synthetic")[0].state_dict()
    name = "backbone.conv1.weight"
    torch.testing.assert_close(network.state_dict()[name], known[name], rtol=0, atol=0)
    assert torch.equal(network.state_dict()["ocr.cls_head.weight"], fresh["ocr.cls_head.weight"])
    assert "ocr.cls_head" in caplog.text.partition("start at random")[2]
