"""Our weight files: what comes back, what is refused, and what a failed write leaves."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.labels import LabelSet, load_label_set
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.model.checkpoint import load_selftest, load_weights, save_weights
from proxia_segmentation_ros.model.network.hrnet_ocr import HRNetOcr, build_model


@pytest.fixture
def saved(tmp_path: Path, small_network: HRNetOcr, small_card: ModelCard) -> Path:
    path = tmp_path / "small.safetensors"
    save_weights(path, small_network, small_card)
    return path


def change_tensors(path: Path, card: ModelCard, **changed: torch.Tensor | None) -> None:
    tensors: dict[str, Any] = load_file(path) | changed
    kept = {key: value for key, value in tensors.items() if value is not None}
    save_file(kept, path, {"card": card.to_json()})


def test_float32_file_gives_the_same_network(
    tmp_path: Path, small_network: HRNetOcr, small_card: ModelCard
) -> None:
    path = tmp_path / "small.safetensors"
    save_weights(path, small_network, small_card, dtype=torch.float32)
    network, card = load_weights(path)
    image = torch.rand(1, 3, 64, 64)
    assert card == small_card == read_card(path)
    with torch.no_grad():
        assert torch.equal(network(image), small_network(image))


def test_loaded_network_is_float32_and_in_eval_mode(saved: Path) -> None:
    network, _ = load_weights(str(saved))
    assert not any(module.training for module in network.modules())
    for key, value in network.state_dict().items():
        counter = key.endswith("num_batches_tracked")
        assert value.dtype == (torch.int64 if counter else torch.float32), key
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_half_file_is_near_and_keeps_batch_norm_exactly(
    saved: Path, small_network: HRNetOcr
) -> None:
    stored = load_file(saved)
    assert stored["backbone.conv1.weight"].dtype == torch.float16
    for key, value in small_network.state_dict().items():
        if ".bn" in key or "running_" in key or key.endswith("num_batches_tracked"):
            assert torch.equal(stored[key], value), key
    assert int(stored["backbone.bn1.num_batches_tracked"]) == 1
    network, _ = load_weights(saved)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(image), small_network(image), rtol=0, atol=0.02)


def test_loaded_network_does_not_share_memory_with_the_file(saved: Path) -> None:
    network, _ = load_weights(saved)
    before = network.state_dict()["backbone.bn1.weight"].clone()
    saved.write_bytes(b"\0" * saved.stat().st_size)
    assert torch.equal(network.state_dict()["backbone.bn1.weight"], before)


def test_selftest_tensors_stay_outside_the_network(
    tmp_path: Path, small_network: HRNetOcr, small_card: ModelCard
) -> None:
    path = tmp_path / "small.safetensors"
    image = torch.randint(0, 256, (64, 96, 3), dtype=torch.uint8)
    save_weights(path, small_network, small_card, selftest={"image": image})
    network, _ = load_weights(path)
    assert not any(key.startswith("selftest.") for key in network.state_dict())
    assert torch.equal(load_selftest(path)["image"], image)


def test_multi_scale_network_comes_back(tmp_path: Path) -> None:
    card = ModelCard(
        name="multi",
        architecture="hrnet_w18_small_v1_ocr_mscale",
        ocr_mid=16,
        ocr_key=8,
        attention_mid=8,
        scales=(0.5, 1.0, 2.0),
        size_hw=(64, 96),
        label_set=CardLabelSet.from_label_set(load_label_set("cityscapes")),
    )
    network = build_model(card.architecture, 19, ocr_mid=16, ocr_key=8, attention_mid=8).eval()
    path = tmp_path / "multi.safetensors"
    save_weights(path, network, card, dtype=torch.float32)
    loaded, found = load_weights(path)
    image = torch.rand(1, 3, 64, 64)
    assert found.scales == (0.5, 1.0, 2.0)
    with torch.no_grad():
        assert torch.equal(loaded(image, found.scales), network(image, card.scales))


def test_card_lies_in_the_metadata(saved: Path, small_card: ModelCard) -> None:
    with safe_open(saved, framework="pt") as file:
        assert file.metadata()["card"] == small_card.to_json()


@pytest.mark.parametrize("kept_share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_file_is_refused(saved: Path, kept_share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * kept_share)])
    with pytest.raises(WeightsError, match=r"small\.safetensors' can't be read .*get the file"):
        load_weights(saved)


@pytest.mark.parametrize("content", [b"not weights at all", b"\xff" * 64, b"PK\x03\x04" * 9])
def test_file_of_other_content_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"other\.safetensors' can't be read"):
        load_weights(path)


def test_file_without_card_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.safetensors"
    save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"has no metadata 'card'; expected .*; save it again"):
        load_weights(path)


def test_wrong_label_count_is_refused(saved: Path, small_card: ModelCard) -> None:
    camvid = load_label_set("camvid")
    fewer = LabelSet(name="ten", classes=camvid.classes[:10])
    card = small_card.model_copy(update={"label_set": CardLabelSet.from_label_set(fewer)})
    change_tensors(saved, card)
    with pytest.raises(WeightsError, match=r"has 11 classes; expected the 10 of .*'ten'; use"):
        load_weights(saved)


def test_differences_are_named_and_counted(saved: Path, small_card: ModelCard) -> None:
    change_tensors(
        saved,
        small_card,
        **{
            "backbone.conv1.weight": None,
            "extra.weight": torch.zeros(2),
            "ocr.cls_head.bias": torch.zeros(3),
            "backbone.bn1.bias": torch.zeros(64, dtype=torch.int32),
        },
    )
    with pytest.raises(WeightsError) as caught:
        load_weights(saved)
    sentence = str(caught.value)
    assert "small.safetensors' lacks backbone.conv1.weight, has extra.weight besides" in sentence
    assert "backbone.bn1.bias is integer 64 where float 64 belongs and 1 more" in sentence
    assert "expected the tensors of hrnet_w18_small_v1_ocr with ocr_mid 32" in sentence


def test_network_of_another_width_is_refused(saved: Path, small_card: ModelCard) -> None:
    change_tensors(saved, small_card.model_copy(update={"ocr_mid": 64}))
    with pytest.raises(WeightsError, match="is float 32x240x3x3 where float 64x240x3x3 belongs"):
        load_weights(saved)


def test_unknown_architecture_in_the_card_is_refused(saved: Path, small_card: ModelCard) -> None:
    change_tensors(saved, small_card.model_copy(update={"architecture": "unet"}))
    with pytest.raises(WeightsError, match="architecture is 'unet'; expected one of hrnet_w48"):
        load_weights(saved)


def test_nan_in_the_file_is_refused(saved: Path, small_card: ModelCard) -> None:
    change_tensors(saved, small_card, **{"ocr.cls_head.bias": torch.full((11,), torch.nan)})
    with pytest.raises(WeightsError, match=r"tensor ocr\.cls_head\.bias of .* holds NaN"):
        load_weights(saved)


def test_number_beyond_half_precision_is_refused(
    tmp_path: Path, small_network: HRNetOcr, small_card: ModelCard
) -> None:
    network = build_model("hrnet_w18_small_v1_ocr", 11, ocr_mid=32, ocr_key=16)
    network.load_state_dict(small_network.state_dict())
    with torch.no_grad():
        network.get_parameter("ocr.cls_head.bias")[0] = 1e6
    with pytest.raises(WeightsError, match=r"NaN or infinity as torch\.float16; .*dtype float32"):
        save_weights(tmp_path / "small.safetensors", network, small_card)
    save_weights(tmp_path / "small.safetensors", network, small_card, dtype=torch.float32)


def test_network_that_is_not_its_card_is_not_saved(
    tmp_path: Path, small_network: HRNetOcr, small_card: ModelCard
) -> None:
    path = tmp_path / "small.safetensors"
    with pytest.raises(WeightsError, match="expected the tensors of hrnet_w18_small_v1_ocr with"):
        save_weights(path, small_network, small_card.model_copy(update={"ocr_key": 8}))
    assert not path.exists()


def test_failed_write_leaves_the_old_file(
    saved: Path,
    small_network: HRNetOcr,
    small_card: ModelCard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = saved.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(WeightsError, match=r"can't be written \(No space left on device\)"):
        save_weights(saved, small_network, small_card.model_copy(update={"name": "new"}))
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_other_suffix_is_refused_for_writing(
    tmp_path: Path, small_network: HRNetOcr, small_card: ModelCard
) -> None:
    with pytest.raises(WeightsError, match=r"has another suffix; expected \.safetensors"):
        save_weights(tmp_path / "small.bin", small_network, small_card)


def test_written_file_can_be_read_by_everybody_the_umask_allows(saved: Path) -> None:
    plain = saved.with_name("plain")
    plain.touch()
    assert saved.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("backbone.conv1.weight", 0.0, "zeros alone"),
        ("backbone.bn1.running_var", -0.5, "negative variances"),
    ],
)
def test_tensor_that_no_training_makes_is_refused(
    saved: Path, small_card: ModelCard, key: str, value: float, named: str
) -> None:
    tensor = torch.full_like(load_file(saved)[key], value)
    change_tensors(saved, small_card, **{key: tensor})
    with pytest.raises(WeightsError, match=f"{key}.*{named}"):
        load_weights(saved)
