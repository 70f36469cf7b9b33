"""The picture in a weight file: read without torch, or refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.checkpoint import save_weights
from proxia_segmentation_ros.model.network.hrnet_ocr import HRNetOcr
from proxia_segmentation_ros.model.self_test import SelfTest, read_self_test

IMAGE = torch.arange(4 * 6 * 3, dtype=torch.uint8).reshape(4, 6, 3)
LABELS = torch.full((4, 6), 3, dtype=torch.uint8)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_picture_comes_back(
    tmp_path: Path, small_network: HRNetOcr, small_card: ModelCard, dtype: torch.dtype
) -> None:
    path = tmp_path / "small.safetensors"
    tensors = {"image_HWC": IMAGE, "labels_HW": LABELS.to(dtype)}
    save_weights(path, small_network, small_card, selftest=tensors)
    found = read_self_test(path)
    assert found is not None
    np.testing.assert_array_equal(found.image_HWC, IMAGE.numpy())
    assert found.unlabeled_id == (255 if dtype == torch.uint8 else 65535)
    assert found.compare(found.labels_HW) == 1.0


def test_other_tensors_of_that_prefix_are_no_picture(
    tmp_path: Path, small_network: HRNetOcr, small_card: ModelCard
) -> None:
    path = tmp_path / "small.safetensors"
    save_weights(path, small_network, small_card, selftest={"input": torch.arange(5)})
    assert read_self_test(path) is None
    assert read_self_test(tmp_path / "foreign.pth") is None


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        (IMAGE, LABELS[:3]),
        (IMAGE.float(), LABELS),
        (IMAGE, LABELS.float()),
        (IMAGE, torch.full((4, 6), 255, dtype=torch.uint8)),
    ],
)
def test_picture_of_another_form_is_refused(
    tmp_path: Path,
    small_network: HRNetOcr,
    small_card: ModelCard,
    image: torch.Tensor,
    labels: torch.Tensor,
) -> None:
    path = tmp_path / "small.safetensors"
    save_weights(
        path, small_network, small_card, selftest={"image_HWC": image, "labels_HW": labels}
    )
    with pytest.raises(WeightsError, match="self-test"):
        read_self_test(path)


def test_pixels_that_the_network_is_unsure_of_are_not_compared() -> None:
    labels_HW = np.array([[1, 2, 3, 4]], np.uint8)
    image_HWC = np.zeros((1, 4, 3), np.uint8)
    sure = SelfTest.from_result(image_HWC, labels_HW, np.array([[250, 10, 190, 240]]), 255)
    assert sure.labels_HW.tolist() == [[1, 255, 3, 4]]
    assert sure.compare(np.array([[1, 9, 3, 9]])) == pytest.approx(2 / 3)
    guesses = SelfTest.from_result(image_HWC, labels_HW, np.array([[10, 20, 30, 40]]), 255)
    assert guesses.labels_HW.tolist() == [[255, 255, 3, 4]]
