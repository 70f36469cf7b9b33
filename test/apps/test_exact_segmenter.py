"""Probabilities and attention, against the network itself and against what robots run."""

from pathlib import Path

import numpy as np
import pytest
import torch

from proxia_segmentation_ros.apps.exact_segmenter import ExactSegmenter
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.evaluation.averaged_segmenter import AveragedSegmenter
from proxia_segmentation_ros.evaluation.averaging import Averaging
from proxia_segmentation_ros.inference import Segmenter
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.blocks import resize_bilinear
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.model.checkpoint import load_weights, save_weights
from proxia_segmentation_ros.model.networks import HRNetOcrMultiScale, build_model

SCALES = (0.5, 1.0, 2.0)
IMAGE_HWC = np.random.default_rng(7).integers(0, 255, (72, 104, 3), dtype=np.uint8)


def save_small(folder: Path, architecture: str, temperature: float = 1.0) -> str:
    """Write weights of a small network whose statistics are not the fresh ones."""
    torch.manual_seed(2)
    sizes = {"ocr_mid": 32, "ocr_key": 16, "attention_mid": 8}
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
    found = ExactSegmenter(weights, Averaging(), size=size).segment(IMAGE_HWC)
    assert found.labels.dtype == np.uint8
    assert np.mean(found.labels != wanted.labels) < 1e-3
    best_HW = found.probabilities_KHW.max(0) * 255
    assert wanted.confidence is not None
    assert np.abs(best_HW - wanted.confidence).max() <= 0.51
    np.testing.assert_allclose(found.probabilities_KHW.sum(0), 1, atol=1e-5)
    assert found.attention_HW == {}


@pytest.mark.parametrize(("name", "scales"), [("single", ()), ("multi", SCALES)])
def test_averaged_copies_are_those_of_evaluation(
    name: str, scales: tuple[float, ...], request: pytest.FixtureRequest
) -> None:
    weights = request.getfixturevalue(name)
    averaging = Averaging(flip=True, scales=(1.0, 0.5))
    wanted = AveragedSegmenter(weights, averaging, scales=scales).segment(IMAGE_HWC)
    found = ExactSegmenter(weights, averaging, scales=scales).segment(IMAGE_HWC)
    assert np.mean(found.labels != wanted.labels) < 1e-3
    plain = ExactSegmenter(weights, Averaging(), scales=scales).segment(IMAGE_HWC)
    assert np.mean(found.labels != plain.labels) > 1e-3


@pytest.mark.parametrize("averaging", [Averaging(), Averaging(flip=True)])
def test_attention_is_the_networks_of_the_image_as_it_is(multi: str, averaging: Averaging) -> None:
    segmenter = ExactSegmenter(multi, averaging, size="input", scales=SCALES)
    found = segmenter.segment(IMAGE_HWC, with_attention=True)
    network, card = load_weights(multi)
    assert isinstance(network, HRNetOcrMultiScale)
    image_NCHW = torch.from_numpy(IMAGE_HWC).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(one).view(1, 3, 1, 1) for one in (card.mean, card.std))
    with torch.no_grad():
        outputs = network.outputs((image_NCHW - mean) / std, SCALES)
    assert sorted(found.attention_HW) == list(SCALES)
    for scale, attention in outputs.attention_by_scale.items():
        wanted = resize_bilinear(attention, (72, 104))[0, 0].numpy()
        np.testing.assert_allclose(found.attention_HW[scale], wanted, atol=1e-4)


def test_temperature_makes_less_sure_and_changes_no_label(single: str, tmp_path: Path) -> None:
    warm = save_small(tmp_path, "hrnet_w18_small_v1_ocr", temperature=3.0)
    sure = ExactSegmenter(single, Averaging()).segment(IMAGE_HWC)
    unsure = ExactSegmenter(warm, Averaging()).segment(IMAGE_HWC)
    assert (sure.labels == unsure.labels).all()
    assert (sure.probabilities_KHW.max(0) > unsure.probabilities_KHW.max(0)).mean() > 0.99


@pytest.mark.parametrize("size", ["large", "8x8", "90000x90000"])
def test_sizes_that_cannot_be_are_refused(single: str, size: str) -> None:
    with pytest.raises(ConfigError, match=size):
        ExactSegmenter(single, Averaging(), size=size)
