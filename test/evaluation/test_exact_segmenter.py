"""Probabilities and attention, against the network itself and against what robots run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.evaluation.averaging import Averaging
from proxia_segmentation_ros.evaluation.exact_segmenter import ExactSegmenter, RequestedMaps
from proxia_segmentation_ros.evaluation.windows import Windows
from proxia_segmentation_ros.inference import Segmenter
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.model.checkpoint import load_weights, save_weights
from proxia_segmentation_ros.model.network.blocks import resize_bilinear
from proxia_segmentation_ros.model.network.hrnet_ocr import HRNetOcrMultiScale, build_model

SCALES = (0.5, 1.0, 2.0)
ALL = RequestedMaps(confidence=True, probabilities=True, logits=True)
IMAGE_HWC = np.random.default_rng(7).integers(0, 255, (72, 104, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _run_in_one_thread() -> Iterator[None]:
    """Label small images without waiting for threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def save_small(folder: Path, architecture: str, temperature: float = 1.0) -> str:
    """Write weights of a small network whose statistics are not the fresh ones."""
    torch.manual_seed(2)
    sizes: dict[str, Any] = {"ocr_mid": 32, "ocr_key": 16, "attention_mid": 8}
    network = build_model(architecture, 11, **sizes)
    with torch.no_grad():
        network.train()(torch.rand(2, 3, 64, 96))
    card = ModelCard(
        name="small",
        architecture=architecture,
        scales=(0.5, 1.0) if architecture.endswith("_mscale") else (1.0,),
        size_hw=(64, 96),
        temperature=temperature,
        label_set=CardLabelSet.from_label_set(load_label_set("camvid")),
        **sizes,
    )
    path = folder / f"{architecture}_{temperature}.safetensors"
    save_weights(path, network.eval(), card, dtype=torch.float32)
    return str(path)


@pytest.fixture(scope="module", name="single")
def make_single(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a weight file of a single-scale network."""
    return save_small(tmp_path_factory.mktemp("single"), "hrnet_w18_small_v1_ocr")


@pytest.fixture(scope="module", name="multi")
def make_multi(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a weight file of a multi-scale network."""
    return save_small(tmp_path_factory.mktemp("multi"), "hrnet_w18_small_v1_ocr_mscale")


@pytest.mark.parametrize("size", ["card", "input", "128x80"])
@pytest.mark.parametrize("name", ["single", "multi"])
def test_labels_and_certainty_are_those_of_robots(
    name: str, size: str, request: pytest.FixtureRequest
) -> None:
    weights = request.getfixturevalue(name)
    robot = Segmenter.from_weights(weights, backend="torch", precision="f32", size=size)
    wanted = robot.segment(IMAGE_HWC, with_confidence=True)
    found = ExactSegmenter(weights, Averaging(), size=size).compute_maps(IMAGE_HWC, ALL)
    assert found.labels.dtype == np.uint8
    assert np.mean(found.labels != wanted.labels) < 1e-3
    assert found.probabilities_KHW is not None
    best_HW = found.probabilities_KHW.max(0) * 255
    assert wanted.confidence is not None
    assert np.abs(best_HW - wanted.confidence).max() <= 0.51
    assert found.confidence is not None
    assert np.abs(found.confidence.astype(int) - wanted.confidence).max() <= 1
    np.testing.assert_allclose(found.probabilities_KHW.sum(0), 1, atol=1e-5)
    assert found.attention_HW == {}


@pytest.mark.parametrize("output_size", ["input", "130x90"])
@pytest.mark.parametrize("name", ["single", "multi"])
def test_what_is_asked_for_changes_nothing_else(
    name: str, output_size: str, request: pytest.FixtureRequest
) -> None:
    segmenter = ExactSegmenter(request.getfixturevalue(name), Averaging())
    found = segmenter.compute_maps(IMAGE_HWC, ALL, output_size=output_size)
    plain = segmenter.segment(IMAGE_HWC, output_size=output_size)
    sure = segmenter.segment(IMAGE_HWC, with_confidence=True, output_size=output_size)
    explained = segmenter.segment_with_logits(IMAGE_HWC, output_size=output_size)
    probable = segmenter.compute_maps(
        IMAGE_HWC, RequestedMaps(probabilities=True), output_size=output_size
    )
    assert (plain.confidence, plain.logits_KHW, plain.probabilities_KHW) == (None, None, None)
    assert (explained.confidence, explained.probabilities_KHW) == (None, None)
    assert (probable.logits_KHW, probable.confidence) == (None, None)
    for other in (plain, sure, explained, probable):
        np.testing.assert_array_equal(other.labels, found.labels)
    np.testing.assert_array_equal(sure.confidence, found.confidence)
    np.testing.assert_array_equal(explained.logits_KHW, found.logits_KHW)
    np.testing.assert_array_equal(probable.probabilities_KHW, found.probabilities_KHW)
    assert found.logits_KHW is not None
    assert found.probabilities_KHW is not None
    assert found.logits_KHW.dtype == np.float32
    np.testing.assert_array_equal(found.logits_KHW.argmax(0), found.labels)
    softmax_KHW = torch.from_numpy(found.logits_KHW).softmax(0).numpy()
    np.testing.assert_allclose(found.probabilities_KHW, softmax_KHW, atol=1e-6)


def test_labels_alone_hold_no_full_size_logits(
    single: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    enlarged: list[tuple[int, ...]] = []

    def resize(tensor: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
        enlarged.append((tensor.shape[1], *size_hw))
        return resize_bilinear(tensor, size_hw)

    module = "proxia_segmentation_ros.evaluation.exact_segmenter"
    monkeypatch.setattr(f"{module}.resize_bilinear", resize)
    segmenter = ExactSegmenter(single, Averaging())
    segmenter.segment(IMAGE_HWC, with_confidence=True)
    assert enlarged == [(1, 72, 104)] * 2 * 11
    enlarged.clear()
    segmenter.segment_with_logits(IMAGE_HWC)
    assert enlarged[0] == (11, 72, 104)


@pytest.mark.parametrize("scales", [(), SCALES])
def test_averages_are_those_of_the_networks_logits(multi: str, scales: tuple[float, ...]) -> None:
    averaging = Averaging(flip=True, scales=(1.0, 0.5))
    segmenter = ExactSegmenter(multi, averaging, scales=scales, size="input")
    found = segmenter.segment_with_logits(IMAGE_HWC)
    network, card = load_weights(multi)
    image_NCHW = torch.from_numpy(IMAGE_HWC).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (card.mean, card.std))
    wanted = averaging.compute_logits(
        lambda copy: network(copy, scales or card.scales), (image_NCHW - mean) / std
    )
    assert found.logits_KHW is not None
    np.testing.assert_allclose(found.logits_KHW, wanted[0].numpy(), atol=1e-3)
    plain = ExactSegmenter(multi, Averaging(), scales=scales, size="input").segment(IMAGE_HWC)
    assert np.mean(found.labels != plain.labels) > 1e-3


@pytest.mark.parametrize("averaging", [Averaging(), Averaging(flip=True)])
def test_attention_is_the_networks_of_the_image_as_it_is(multi: str, averaging: Averaging) -> None:
    segmenter = ExactSegmenter(multi, averaging, size="input", scales=SCALES)
    found = segmenter.compute_maps(IMAGE_HWC, RequestedMaps(attention=True))
    network, card = load_weights(multi)
    assert isinstance(network, HRNetOcrMultiScale)
    image_NCHW = torch.from_numpy(IMAGE_HWC).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (card.mean, card.std))
    with torch.no_grad():
        outputs = network.outputs((image_NCHW - mean) / std, SCALES)
    assert sorted(found.attention_HW) == list(SCALES)
    for scale, attention in outputs.attention_by_scale.items():
        wanted = resize_bilinear(attention, (72, 104))[0, 0].numpy()
        np.testing.assert_allclose(found.attention_HW[scale], wanted, atol=1e-4)


def test_temperature_makes_less_sure_and_changes_no_label(single: str, tmp_path: Path) -> None:
    warm = save_small(tmp_path, "hrnet_w18_small_v1_ocr", temperature=3.0)
    sure = ExactSegmenter(single, Averaging()).compute_maps(IMAGE_HWC, ALL)
    unsure = ExactSegmenter(warm, Averaging()).compute_maps(IMAGE_HWC, ALL)
    assert (sure.labels == unsure.labels).all()
    np.testing.assert_array_equal(sure.logits_KHW, unsure.logits_KHW)
    assert sure.probabilities_KHW is not None
    assert unsure.probabilities_KHW is not None
    assert (sure.probabilities_KHW.max(0) > unsure.probabilities_KHW.max(0)).mean() > 0.99


@pytest.mark.parametrize("size", ["large", "8x8", "90000x90000"])
def test_sizes_that_cannot_be_are_refused(single: str, size: str) -> None:
    with pytest.raises(ConfigError, match=size):
        ExactSegmenter(single, Averaging(), size=size)
    with pytest.raises(ConfigError, match=f"output_size is '{size}'"):
        ExactSegmenter(single, Averaging()).segment(IMAGE_HWC, output_size=size)


@pytest.mark.parametrize("averaging", [Averaging(), Averaging(flip=True, scales=(0.5, 1.0))])
@pytest.mark.parametrize("name", ["single", "multi"])
def test_window_as_large_as_the_image_is_the_whole_image(
    name: str, averaging: Averaging, request: pytest.FixtureRequest
) -> None:
    weights, windows = request.getfixturevalue(name), Windows((72, 104), 0.25)
    wanted = RequestedMaps(confidence=True, logits=True, attention=name == "multi")
    whole = ExactSegmenter(weights, averaging, size="input").compute_maps(IMAGE_HWC, wanted)
    seen = ExactSegmenter(weights, averaging, size="input", windows=windows)
    found = seen.compute_maps(IMAGE_HWC, wanted)
    np.testing.assert_array_equal(found.labels, whole.labels)
    np.testing.assert_array_equal(found.confidence, whole.confidence)
    np.testing.assert_array_equal(found.logits_KHW, whole.logits_KHW)
    for scale, attention_HW in whole.attention_HW.items():
        np.testing.assert_array_equal(found.attention_HW[scale], attention_HW)


@pytest.mark.parametrize("name", ["single", "multi"])
def test_windows_show_what_the_network_sees_in_each(
    name: str, request: pytest.FixtureRequest
) -> None:
    weights, wanted = (
        request.getfixturevalue(name),
        RequestedMaps(logits=True, attention=name == "multi"),
    )
    whole = ExactSegmenter(weights, Averaging(), size="input")
    seen = ExactSegmenter(weights, Averaging(), size="input", windows=Windows((72, 64), 0.25))
    found = seen.compute_maps(IMAGE_HWC, wanted)
    # Two windows, of columns 0 to 63 and 40 to 103.
    left, right = (
        whole.compute_maps(IMAGE_HWC[:, part], wanted) for part in (np.s_[:64], np.s_[40:])
    )
    assert found.logits_KHW is not None
    maps = [(found.logits_KHW, left.logits_KHW, right.logits_KHW)]
    maps += [
        (found.attention_HW[scale], left.attention_HW[scale], right.attention_HW[scale])
        for scale in found.attention_HW
    ]
    assert len(maps) == (3 if name == "multi" else 1)
    for both, first, second in maps:
        assert first is not None
        assert second is not None
        close: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-4}
        np.testing.assert_allclose(both[..., :40], first[..., :40], **close)
        np.testing.assert_allclose(both[..., 64:], second[..., 24:], **close)
        mean = (first[..., 40:] + second[..., :24]) / 2
        np.testing.assert_allclose(both[..., 40:64], mean, **close)


def test_windows_of_a_shrunk_image_are_refused(single: str) -> None:
    with pytest.raises(ConfigError, match=r"size is .card. with windows.*--size input"):
        ExactSegmenter(single, Averaging(), windows=Windows((64, 64), 0.25))


@pytest.mark.parametrize("averaging", [Averaging(), Averaging(flip=True)])
def test_convolutions_are_not_rounded_to_tf32(single: str, averaging: Averaging) -> None:
    segmenter = ExactSegmenter(single, averaging, size="input")
    cudnn = torch.backends.cudnn
    seen: set[bool] = set()

    def watch(module: torch.nn.Module, _inputs: object) -> None:
        if isinstance(module, torch.nn.Conv2d):
            seen.add(cudnn.allow_tf32)

    before = cudnn.allow_tf32
    with register_module_forward_pre_hook(watch):
        segmenter.segment(IMAGE_HWC)
    assert seen == {False}
    assert cudnn.allow_tf32 == before
