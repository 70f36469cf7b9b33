"""Golden rules and small networks for the tests of this room."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.model.network.hrnet_ocr import HRNetOcr, build_model

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture(scope="session")
def golden_kept() -> Path:
    """Return the folder of golden data that the repository keeps."""
    return GOLDEN


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute in one thread: small networks lose more by waiting for a second one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def small_network() -> HRNetOcr:
    """Return a small network whose running statistics are not the fresh ones."""
    torch.manual_seed(1)
    network = build_model("hrnet_w18_small_v1_ocr", 11, ocr_mid=32, ocr_key=16)
    with torch.no_grad():
        network.train()(torch.rand(2, 3, 64, 64))
    assert isinstance(network, HRNetOcr)
    return network.eval()


@pytest.fixture(scope="session")
def small_card() -> ModelCard:
    """Return the card of `small_network`."""
    return ModelCard(
        name="small",
        architecture="hrnet_w18_small_v1_ocr",
        ocr_mid=32,
        ocr_key=16,
        size_hw=(64, 96),
        label_set=CardLabelSet.from_label_set(load_label_set("camvid")),
        training_data="noise",
        terms="none",
        scores={"camvid_test_miou": 0.5},
        made_with="pytest",
    )
