"""Weight files that trainings and conversions write hold a picture with its labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_network import make_card, make_network

from proxia_segmentation_ros.inference import Segmenter
from proxia_segmentation_ros.model.checkpoint import load_weights
from proxia_segmentation_ros.model.self_test import read_self_test
from proxia_segmentation_ros.synthetic import StreetScene
from proxia_segmentation_ros.training.tested_weights import (
    PICTURE_HW,
    PICTURE_SEED,
    save_tested_weights,
)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_file_holds_the_street_as_its_network_labels_it(tmp_path: Path, dtype: torch.dtype) -> None:
    card = make_card()
    model = make_network(card)
    path = tmp_path / "tiny.safetensors"
    save_tested_weights(path, model, card, dtype=dtype)
    found = read_self_test(path)
    assert found is not None
    np.testing.assert_array_equal(found.image_HWC, StreetScene.sample(PICTURE_SEED, PICTURE_HW)[0])
    segmenter = Segmenter.from_weights(path, backend="torch", precision="f32")
    assert found.compare(segmenter.segment(found.image_HWC).labels) >= 0.985
    # The picture is no tensor of the network.
    assert load_weights(path)[0].state_dict().keys() == model.state_dict().keys()
