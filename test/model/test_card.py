"""Model cards: what they refuse, and that reading one needs no torch."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tiny_network import make_card

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.model.lookup import find_weights, list_shipped_weights

Change = Callable[[dict[str, Any]], Any]


def test_card_survives_its_json(small_card: ModelCard) -> None:
    raw = json.loads(small_card.to_json())
    assert raw["schema"] == 1
    assert raw["label_set"]["source_ignore"] == [11]
    assert raw["label_set"]["classes"][0] == {
        "id": 0, "name": "sky", "rgb": [70, 130, 180], "source_ids": [0],
    }  # fmt: skip
    assert ModelCard.from_json(small_card.to_json(), "here") == small_card


def test_card_has_the_fields_of_the_contract(small_card: ModelCard) -> None:
    assert list(json.loads(small_card.to_json())) == [
        "schema", "name", "architecture", "ocr_mid", "ocr_key", "attention_mid", "scales",
        "size_hw", "channel_order", "mean", "std", "label_set", "temperature", "training_data",
        "terms", "scores", "made_with",
    ]  # fmt: skip


def test_label_set_comes_back(small_card: ModelCard) -> None:
    camvid = load_label_set("camvid")
    found = small_card.to_label_set()
    assert found == camvid
    assert (found.palette == camvid.palette).all()


def test_card_of_version_0_1_has_no_source_ids(small_card: ModelCard) -> None:
    raw = json.loads(small_card.to_json())
    del raw["label_set"]["source_ignore"]
    for entry in raw["label_set"]["classes"]:
        del entry["source_ids"]
    found = ModelCard.from_json(json.dumps(raw), "here").to_label_set()
    assert {entry.source_ids for entry in found.classes} == {()}
    assert found.names == load_label_set("camvid").names


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda raw: raw.update(schema=2), "schema"),
        (lambda raw: raw.pop("architecture"), "architecture"),
        (lambda raw: raw.update(colour="red"), "colour"),
        (lambda raw: raw.update(size_hw=[240]), r"size_hw"),
        (lambda raw: raw.update(size_hw=[240, 8]), r"size_hw\.1"),
        (lambda raw: raw.update(ocr_mid="128"), "ocr_mid"),
        (lambda raw: raw.update(channel_order="rbg"), "channel_order"),
        (lambda raw: raw.update(std=[0.2, 0.0, 0.2]), r"std\.1"),
        (lambda raw: raw.update(scales=[0.5, 2.0]), "scales"),
        (lambda raw: raw.update(temperature=0.0), "temperature"),
        (lambda raw: raw.update(scores={"miou": "good"}), r"scores\.miou"),
        (lambda raw: raw["label_set"]["classes"].pop(3), "label_set"),
        (lambda raw: raw["label_set"]["classes"][0].update(rgb=[0, 0, 256]), r"rgb\.2"),
    ],
)
def test_wrong_card_is_refused_by_place(small_card: ModelCard, change: Change, place: str) -> None:
    raw = json.loads(small_card.to_json())
    change(raw)
    with pytest.raises(
        WeightsError, match=rf"card of 'here' is wrong at .*{place}.*; expected .*; save"
    ):
        ModelCard.from_json(json.dumps(raw), "here")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"scores": {"miou": NaN}}'])
def test_text_that_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(WeightsError, match="card of 'here' is wrong at"):
        ModelCard.from_json(text, "here")


def test_card_of_a_program_is_checked_too() -> None:
    labels = CardLabelSet.from_label_set(load_label_set("camvid"))
    with pytest.raises(ValidationError, match="size_hw"):
        ModelCard(name="x", architecture="y", size_hw=(1, 1), label_set=labels)


def test_reading_cards_does_not_import_torch() -> None:
    code = (
        "import sys; from proxia_segmentation_ros.model import ModelCard, read_card, "
        "list_shipped_weights; list_shipped_weights(); print('torch' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert run.stdout.strip() == "False"


def test_shipped_weights_are_found_by_name() -> None:
    for name in list_shipped_weights():
        assert find_weights(name).is_file()


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(WeightsError) as caught:
        find_weights("no_such_weights")
    assert str(caught.value).startswith("weights 'no_such_weights' are not shipped; expected ")
    for name in list_shipped_weights():
        assert name in str(caught.value)


def test_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors' does not exist; expected"):
        find_weights(tmp_path / "none.safetensors")


def test_other_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"model\.onnx' is not a weight file; expected"):
        find_weights(tmp_path / "model.onnx")


def test_text_of_a_card_holds_nothing_that_a_terminal_obeys() -> None:
    card = make_card()
    text = card.to_json().replace(f'"{card.name}"', '"a\\u001b[31mb\\nERROR all is lost"')
    assert ModelCard.from_json(text, "x").name == "a\\x1b[31mb ERROR all is lost"
