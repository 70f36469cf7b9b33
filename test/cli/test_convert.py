"""`proxia convert` from the command line."""

import sys
from pathlib import Path

import pytest
import torch

from proxia_segmentation_ros.cli import main
from proxia_segmentation_ros.model import build_model, read_card


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["proxia", "convert", *map(str, arguments)])
    return main()


@pytest.mark.slow
def test_checkpoint_becomes_a_weight_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = build_model("hrnet_w18_small_v1_ocr_mscale", 19, ocr_mid=16, ocr_key=8)
    source, out = tmp_path / "turtle.pth", tmp_path / "turtle.safetensors"
    torch.save(network.state_dict(), source)
    options = ("--to-name", "turtle-1", "--size", "512x256", "--terms", "ask us")
    scores = ("--score", "cityscapes_val_miou=0.8692", "--score", "other=1")
    assert call(monkeypatch, source, out, *options, *scores) == 0
    shown = capsys.readouterr().out
    assert "turtle-1, hrnet_w18_small_v1_ocr_mscale, input 512x256" in shown
    assert "classes: 19 of cityscapes" in shown
    assert "terms: ask us" in shown
    card = read_card(out)
    assert (card.name, card.size_hw, card.terms) == ("turtle-1", (256, 512), "ask us")
    assert card.scores == {"cityscapes_val_miou": 0.8692, "other": 1.0}


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (["/no/such.pth", "out.safetensors"], 4, "'/no/such.pth' does not exist"),
        (["a.pth", "b.safetensors", "--score", "0.5"], 2, "--score is '0.5'; expected NAME=X"),
        (["a.pth", "b.safetensors", "--score", "=0.5"], 2, "--score is '=0.5'"),
        (["a.pth", "b.safetensors", "--score", "a=good"], 2, "--score is 'a=good'"),
        (["a.pth", "b.safetensors", "--size", "large"], 2, "--size is 'large'"),
    ],
)
def test_mistakes_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    exit_code: int,
    sentence: str,
) -> None:
    code = call(monkeypatch, *arguments)
    err = capsys.readouterr().err
    assert (code, sentence in err) == (exit_code, True), err
    assert err.startswith("proxia: ")
