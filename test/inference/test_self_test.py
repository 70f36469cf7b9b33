"""A network that does not label its own picture as it should is named, or made anew."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_network import draw_image, make_card, make_network

from proxia_segmentation_ros.backends.contract import Runner
from proxia_segmentation_ros.backends.network_source import WeightFile
from proxia_segmentation_ros.backends.torch.backend import TorchBackend
from proxia_segmentation_ros.errors import BackendError, ProxiaError, WeightsError
from proxia_segmentation_ros.inference import Segmenter
from proxia_segmentation_ros.inference.self_test import check_network, make_self_test
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.checkpoint import load_weights, save_weights
from proxia_segmentation_ros.model.lookup import list_shipped_weights
from proxia_segmentation_ros.model.self_test import read_self_test
from proxia_segmentation_ros.training.tested_weights import save_tested_weights


def save_tiny(path: Path, *, turned: bool = False) -> Path:
    """Write a tiny network; a turned one takes its classes in reverse."""
    card = make_card()
    model = make_network(card)
    if turned:
        with torch.no_grad():
            head: Any = model.ocr.cls_head
            head.weight.copy_(head.weight.flip(0))
            head.bias.copy_(head.bias.flip(0))
    save_tested_weights(path, model, card)
    return path


def save_with_wrong_card(path: Path, **wrong: Any) -> Path:
    """Write the shipped network `synthetic` with its self-test and a wrong card."""
    model, card = load_weights("synthetic")
    found = read_self_test(WeightFile("synthetic").path)
    assert found is not None
    tensors = {
        "image_HWC": torch.from_numpy(found.image_HWC),
        "labels_HW": torch.from_numpy(found.labels_HW),
    }
    save_weights(path, model, card.model_copy(update=wrong), selftest=tensors)
    return path


def open_exactly(path: Path) -> Segmenter:
    return Segmenter.from_weights(path, backend="torch", precision="f32")


@pytest.mark.parametrize("name", list_shipped_weights())
def test_shipped_weights_hold_a_self_test_and_pass_it(name: str) -> None:
    found = read_self_test(WeightFile(name).path)
    assert found is not None
    kept = found.labels_HW[found.labels_HW != found.unlabeled_id]
    counts = np.bincount(kept)
    # A network that sees one thing everywhere, which damage often makes, agrees with few pixels.
    assert kept.size > 0.5 * found.labels_HW.size
    assert counts.max() < 0.5 * kept.size
    Segmenter.from_weights(name, backend="torch", precision="f32").close()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"channel_order": "bgr"}, "colour order bgr"),
        ({"mean": (0.0,) * 3, "std": (1.0,) * 3}, "normalisation"),
        ({"mean": (0.0,) * 3, "std": (1 / 255,) * 3}, "normalisation"),
    ],
)
def test_wrong_card_is_refused_and_named(tmp_path: Path, wrong: dict[str, Any], named: str) -> None:
    path = save_with_wrong_card(tmp_path / "wrong.safetensors", **wrong)
    with pytest.raises(WeightsError, match=f"{named}.* looks guilty"):
        open_exactly(path)


def test_other_weights_than_the_tested_ones_are_refused(tmp_path: Path) -> None:
    path = save_tiny(tmp_path / "tiny.safetensors")
    tensors = load_file(path)
    tensors["ocr.cls_head.weight"] = tensors["ocr.cls_head.weight"].flip(0).contiguous()
    # Of another program, so without the hash of the content that would tell it first.
    save_file(tensors, path, {"card": make_card().to_json()})
    with pytest.raises(WeightsError, match="weights look guilty"):
        open_exactly(path)


def test_cached_network_of_other_weights_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The blob is whole and its hash is right: only what it says is wrong."""
    path = save_tiny(tmp_path / "tiny.safetensors")
    other = save_tiny(tmp_path / "other.safetensors", turned=True)
    image_HWC = draw_image(96, 128)
    folder, away = tmp_path / "cache", tmp_path / "away"

    def label(weights: Path, cache_dir: Path) -> np.ndarray:
        segmenter = Segmenter.from_weights(weights, backend="openvino", cache_dir=cache_dir)
        return segmenter.segment(image_HWC).labels

    expected = label(path, folder)
    assert (label(other, away) != expected).mean() > 0.5
    ((blob,), (sidecar,)) = (list(folder.glob(f"*.{kind}")) for kind in ("blob", "json"))
    (other_blob,), (other_sidecar,) = (list(away.glob(f"*.{kind}")) for kind in ("blob", "json"))
    blob.write_bytes(other_blob.read_bytes())
    facts = json.loads(sidecar.read_text())
    facts["sha256"] = json.loads(other_sidecar.read_text())["sha256"]
    sidecar.write_text(json.dumps(facts))
    np.testing.assert_array_equal(label(path, folder), expected)
    assert "made anew" in caplog.text
    caplog.clear()
    np.testing.assert_array_equal(label(path, folder), expected)
    assert not caplog.records


class ShiftedBackend(TorchBackend):
    """Labels every pixel with the next class."""

    def prepare(self, *args: Any, **options: Any) -> Runner:
        run = super().prepare(*args, **options)
        return lambda *call: [
            replace(image, labels_HW=(image.labels_HW + 1) % 11) for image in run(*call)
        ]


@pytest.mark.parametrize(
    ("precision", "named"),
    [("f32", "the compiled network looks guilty"), ("bf16", "the precision looks guilty")],
)
def test_backend_that_labels_otherwise_is_named(tmp_path: Path, precision: str, named: str) -> None:
    source = WeightFile(save_tiny(tmp_path / "tiny.safetensors"))
    backend = ShiftedBackend(source, precision=precision, scales=(1.0,), threads=0)
    with pytest.raises(BackendError, match=named):
        check_network(backend, source, (1.0,), (96, 128))


@pytest.mark.parametrize("network_hw", [(96, 128), (48, 64), (64, 256)])
def test_sound_network_passes_in_every_size(tmp_path: Path, network_hw: tuple[int, int]) -> None:
    """A tiny random network labels the picture quite otherwise there; PyTorch tells that."""
    source = WeightFile(save_tiny(tmp_path / "tiny.safetensors"))
    backend = TorchBackend(source, precision="f32", scales=(1.0,), threads=0)
    check_network(backend, source, (1.0,), network_hw)


def test_every_size_of_the_input_is_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_tiny(tmp_path / "tiny.safetensors")
    segmenter = Segmenter.from_weights(path, backend="torch", precision="f32", size="input")
    segmenter.segment(draw_image(48, 64))
    backend = ShiftedBackend(WeightFile(path), precision="f32", scales=(1.0,), threads=0)
    monkeypatch.setattr(segmenter, "_backend", backend)
    segmenter.segment(draw_image(48, 64))
    with pytest.raises(ProxiaError, match="looks guilty"):
        segmenter.segment(draw_image(64, 48))


def test_weights_without_a_self_test_are_used_untested(tmp_path: Path) -> None:
    card = make_card()
    path = tmp_path / "tiny.safetensors"
    save_weights(path, make_network(card), card)
    assert read_self_test(path) is None
    open_exactly(path).segment(draw_image(48, 64))


def test_made_self_test_is_what_the_network_labels(tmp_path: Path) -> None:
    card: ModelCard = make_card()
    model = make_network(card)
    image_HWC = draw_image(96, 128)
    made = make_self_test(model, card, image_HWC)
    found = Segmenter(model, card, backend="torch", precision="f32").segment(image_HWC).labels
    assert made.compare(found) == 1.0
    assert 0.5 <= (made.labels_HW != 255).mean() <= 1.0
    assert made.compare(np.zeros((3, 4), np.uint8)) == 0.0


@pytest.mark.parametrize("options", [{"tile_budget": 0.0}, {"latency_budget_ms": 1.0}])
def test_scales_that_the_settings_leave_out_are_no_fault(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """A pruned network labels otherwise than all its scales together, and is sound."""
    card = make_card(architecture="hrnet_w18_small_v1_ocr_mscale", scales=(0.5, 1.0))
    path = tmp_path / "tiny.safetensors"
    save_tested_weights(path, make_network(card), card)
    found = read_self_test(path)
    assert found is not None
    segmenter = Segmenter.from_weights(path, backend="torch", precision="f32", **options)
    assert found.compare(segmenter.segment(found.image_HWC).labels) < 0.985


def test_failed_test_is_not_repeated_for_every_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_with_wrong_card(tmp_path / "wrong.safetensors", channel_order="bgr")
    segmenter = Segmenter.from_weights(path, backend="torch", precision="f32", size="input")
    with pytest.raises(WeightsError, match="looks guilty"):
        segmenter.warm_up(segmenter.card.size_hw)
    monkeypatch.setattr(
        "proxia_segmentation_ros.inference.self_test.check_network",
        lambda *_: pytest.fail("tested again"),
    )
    with pytest.raises(WeightsError, match="looks guilty"):
        segmenter.warm_up(segmenter.card.size_hw)
