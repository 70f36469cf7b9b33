"""Another system's checkpoint becomes a weight file that gives the same logits."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from proxia_segmentation_ros.apps.weights.conversion import (
    ConversionSettings,
    convert_weights,
    hash_file,
)
from proxia_segmentation_ros.errors import ConfigError, WeightsError
from proxia_segmentation_ros.model import build_model, load_weights, read_card
from proxia_segmentation_ros.model.foreign.mmsegmentation import (
    CONVOLUTIONS_WITHOUT_BIAS,
    name_in_file,
)

SMALL = "hrnet_w18_small_v1_ocr"


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(3)
    model = build_model(SMALL, 19, ocr_mid=16, ocr_key=8)
    with torch.no_grad():
        model.train()(torch.rand(2, 3, 64, 64))
        for name in CONVOLUTIONS_WITHOUT_BIAS:
            model.get_parameter(f"{name}.bias").zero_()
    return model.eval()


def write_checkpoint(folder: Path, network: torch.nn.Module, layout: str) -> Path:
    state = network.state_dict()
    if layout == "mmsegmentation":
        biases = {f"{name}.bias" for name in CONVOLUTIONS_WITHOUT_BIAS}
        state = {name_in_file(key): state[key] for key in state if key not in biases}
    prefix = "module." if layout == "NVIDIA in parallel" else ""
    path = folder / "source.pth"
    torch.save({"state_dict": {prefix + key: value for key, value in state.items()}}, path)
    return path


@pytest.mark.parametrize("layout", ["NVIDIA", "NVIDIA in parallel", "mmsegmentation"])
@pytest.mark.slow
def test_converted_network_is_the_same(
    tmp_path: Path, network: torch.nn.Module, layout: str
) -> None:
    source = write_checkpoint(tmp_path, network, layout)
    out = tmp_path / "new" / "street.safetensors"
    card = convert_weights(ConversionSettings(source=source, out=out))
    loaded, found = load_weights(out)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(loaded(image), network(image))
    assert found == card
    assert (card.name, card.architecture, card.ocr_mid, card.ocr_key) == ("street", SMALL, 16, 8)
    assert (card.label_set.name, card.size_hw) == ("cityscapes", (1024, 2048))
    assert layout.split()[0] in card.made_with
    assert f"SHA-256 {hash_file(source)}; converted by proxia_segmentation_ros" in card.made_with
    assert "not stated" in card.terms


def test_half_is_half_the_size_and_near(tmp_path: Path, network: torch.nn.Module) -> None:
    source = write_checkpoint(tmp_path, network, "NVIDIA")
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    convert_weights(ConversionSettings(source=source, out=whole))
    convert_weights(ConversionSettings(source=source, out=half, half=True))
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        logits = load_weights(half)[0](image)
        torch.testing.assert_close(logits, network(image), rtol=0, atol=0.05)


def test_card_takes_what_it_is_told(tmp_path: Path, network: torch.nn.Module) -> None:
    labels = tmp_path / "rails.yaml"
    lines = [f"- {{id: {index}, name: rail_{index}, rgb: [0, 0, {index}]}}" for index in range(19)]
    labels.write_text("name: rails\nclasses:\n" + "\n".join(lines))
    out = tmp_path / "rails.safetensors"
    settings = ConversionSettings(
        source=write_checkpoint(tmp_path, network, "NVIDIA"),
        out=out,
        name="rails-1",
        label_set=str(labels),
        size_hw=(256, 512),
        training_data="own rails",
        terms="ours",
        scores=(("rails_miou", 0.5),),
    )
    assert convert_weights(settings) == read_card(out)
    card = read_card(out)
    assert (card.name, card.label_set.name, card.size_hw) == ("rails-1", "rails", (256, 512))
    assert (card.training_data, card.terms) == ("own rails", "ours")
    assert card.scores == {"rails_miou": 0.5}


def test_label_set_of_another_count_is_refused(tmp_path: Path, network: torch.nn.Module) -> None:
    out = tmp_path / "out.safetensors"
    source = write_checkpoint(tmp_path, network, "NVIDIA")
    with pytest.raises(WeightsError, match=r"has 19 classes; expected the 11 of .*'camvid'"):
        convert_weights(ConversionSettings(source=source, out=out, label_set="camvid"))
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"size_hw": (8, 512)}, r"card's size_hw\.0 would be '8'; expected .*16"),
        ({"scores": (("miou", float("nan")),)}, r"card's scores\.miou would be 'nan'"),
    ],
)
def test_impossible_card_is_refused(
    tmp_path: Path, network: torch.nn.Module, changes: dict, told: str
) -> None:
    source = write_checkpoint(tmp_path, network, "NVIDIA")
    out = tmp_path / "out.safetensors"
    with pytest.raises(ConfigError, match=told):
        convert_weights(ConversionSettings(source=source, out=out, **changes))
    assert not out.exists()


@pytest.mark.parametrize("figure", [0.5, float("nan"), float("inf")])
def test_figure_that_is_no_number_is_left_out(
    tmp_path: Path, network: torch.nn.Module, figure: float
) -> None:
    source = write_checkpoint(tmp_path, network, "NVIDIA")
    torch.save({**torch.load(source), "mean_iu": figure}, source)
    card = convert_weights(ConversionSettings(source=source, out=tmp_path / "out.safetensors"))
    assert card.scores == ({"mean_iu": 0.5} if figure == 0.5 else {})


@pytest.mark.parametrize("change", [torch.Tensor.to_sparse, lambda tensor: tensor.to("meta")])
def test_tensor_without_numbers_is_refused(
    tmp_path: Path, network: torch.nn.Module, change: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    source = write_checkpoint(tmp_path, network, "NVIDIA")
    content = torch.load(source)
    content["state_dict"]["ocr.cls_head.bias"] = change(content["state_dict"]["ocr.cls_head.bias"])
    torch.save(content, source)
    with pytest.raises(WeightsError, match="no state_dict of tensors; expected dense tensors"):
        convert_weights(ConversionSettings(source=source, out=tmp_path / "out.safetensors"))


def test_every_missing_tensor_is_told(tmp_path: Path, network: torch.nn.Module) -> None:
    source = write_checkpoint(tmp_path, network, "NVIDIA")
    content = torch.load(source)
    lost = [key for key in content["state_dict"] if key.startswith("ocr.ocr_distri_head.")]
    lost.remove("ocr.ocr_distri_head.object_context_block.f_pixel.0.weight")
    for key in lost:
        del content["state_dict"][key]
    torch.save(content, source)
    with pytest.raises(WeightsError) as caught:
        convert_weights(ConversionSettings(source=source, out=tmp_path / "out.safetensors"))
    assert len(lost) > 20
    assert all(f"lacks {key}" in str(caught.value) for key in lost)


@pytest.mark.parametrize(
    ("source", "out", "told"),
    [
        ("none.pth", "out.safetensors", r"none\.pth' does not exist"),
        ("source.pth", "out.pth", r"out\.pth' has another suffix; expected \.safetensors"),
        ("ours.safetensors", "out.safetensors", r"ours\.safetensors' is one of ours already"),
    ],
)
def test_wrong_file_is_refused(
    tmp_path: Path, network: torch.nn.Module, source: str, out: str, told: str
) -> None:
    write_checkpoint(tmp_path, network, "NVIDIA")
    (tmp_path / "ours.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match=told):
        convert_weights(ConversionSettings(source=tmp_path / source, out=tmp_path / out))
