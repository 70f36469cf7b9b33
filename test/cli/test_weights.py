"""`proxia weights` from the command line."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from proxia_segmentation_ros.apps.weights import listing as weights
from proxia_segmentation_ros.cli import main
from proxia_segmentation_ros.model import build_model, load_weights, read_card
from proxia_segmentation_ros.model.catalogue import read_catalogue


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROXIA_WEIGHTS_DIR", str(tmp_path))
    return tmp_path


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["proxia", "weights", *arguments])
    code = main()
    output = capsys.readouterr()
    return code, output.out, output.err


def test_list_has_a_line_for_each_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(monkeypatch, capsys, "list")
    lines = out.splitlines()
    assert code == 0
    assert re.match(r"name +is +architecture +classes +input +score$", lines[0])
    line = next(line for line in lines if line.startswith("hr18s-cityscapes "))
    words = re.split(r" {2,}", line)
    assert words[1:5] == ["download", "hrnet_w18_small_v2_ocr", "19 cityscapes", "2048x1024"]
    assert words[5] == "0.7845 cityscapes_val_miou"
    assert any(line.startswith("default ") and " shipped " in line for line in lines)


def test_list_as_json_has_address_and_hash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = call(monkeypatch, capsys, "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    row = rows["hr48-cityscapes"]
    assert row["url"].startswith("https://download.openmmlab.com/")
    assert row["url"].endswith(f"-{row['sha256']}.pth")
    assert row["parameters"] == 70372678
    assert rows["default"]["path"].endswith("default.safetensors")


def test_show_tells_terms_and_where_the_file_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(monkeypatch, capsys, "show", "hr18s-ade20k")
    shown = dict(re.split(r" +", line, maxsplit=1) for line in out.splitlines())
    assert code == 0
    assert shown["is"] == "not downloaded: run proxia weights download hr18s-ade20k"
    assert "Apache-2.0" in shown["terms"]
    assert shown["sha256"] == "8e913058"
    assert "path" not in shown
    _, out, _ = call(monkeypatch, capsys, "show", "default", "--json")
    assert json.loads(out)["is"] == "shipped"


def test_download_says_how_to_use_the_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    catalogue = dict(read_catalogue())
    entry = catalogue["mscale-cityscapes"].model_copy(
        update={"architecture": "hrnet_w18_small_v1_ocr_mscale"}
    )
    monkeypatch.setattr(weights, "read_catalogue", lambda: catalogue | {entry.name: entry})
    network = build_model(entry.architecture, 19, ocr_mid=8, ocr_key=8, attention_mid=8)
    source = folder / "turtle.pth"
    torch.save(network.state_dict(), source)
    code, out, _ = call(monkeypatch, capsys, "download", entry.name, "--file", str(source))
    assert code == 0
    lines = out.splitlines()
    assert lines[0].endswith(": hrnet_w18_small_v1_ocr_mscale, 19 classes of cityscapes")
    assert lines[1].startswith("terms: published with NVIDIA/semantic-segmentation")
    assert lines[2] == "use it as: --weights mscale-cityscapes"
    assert read_card(entry.name).scores == entry.scores
    _, out, _ = call(monkeypatch, capsys, "list")
    assert re.search(r"^mscale-cityscapes +here ", out, re.MULTILINE)
    _, out, _ = call(monkeypatch, capsys, "show", entry.name)
    assert f"{folder}/mscale-cityscapes.safetensors" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "nothing"], "weights 'nothing' are not shipped"),
        (["download", "nothing"], "no weights 'nothing' are published"),
        (["download", "mscale-mapillary"], "with a browser, then run `proxia weights download"),
        (["download", "hr18-ade20k", "--file", "/no/such.pth"], "'/no/such.pth' is no checkpoint"),
    ],
)
def test_mistakes_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    code, _, err = call(monkeypatch, capsys, *arguments)
    assert (code, sentence in err) == (4, True), err
    assert err.startswith("proxia: ")


def test_weights_alone_explain_themselves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, err = call(monkeypatch, capsys)
    assert all(name in out + err for name in ("list", "show", "download"))


@pytest.mark.slow
def test_cost_is_counted_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = call(monkeypatch, capsys, "show", "attention", "--json")
    assert "multiply_adds" not in json.loads(out)
    code, out, _ = call(monkeypatch, capsys, "show", "attention", "--json", "--cost")
    shown = json.loads(out)
    network, card = load_weights("attention")
    assert (code, shown["name"]) == (0, "attention")
    assert shown["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, 3, *card.size_hw), card.scales)
    assert shown["multiply_adds"] == counter.get_total_flops() // 2
    _, out, _ = call(monkeypatch, capsys, "show", "attention", "--cost")
    assert f"multiply_adds  {shown['multiply_adds'] / 1e9:.2f} G an image" in out


@pytest.mark.parametrize("name", ["hr18s-ade20k", "mscale-mapillary"])
@pytest.mark.slow
def test_cost_of_published_weights_agrees_with_the_catalogue(name: str) -> None:
    entry = read_catalogue()[name]
    cost = weights.measure_weights_cost(name)
    assert cost.parameters == entry.parameters
    assert cost.multiply_adds > 1e9
