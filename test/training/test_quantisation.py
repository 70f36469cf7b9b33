"""Ranges of layers on sample images."""

import numpy as np
import pytest

from proxia_segmentation_ros.backends.network_source import WeightFile
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.training.quantisation import find_ranges


def test_a_range_is_the_mean_of_what_the_images_show() -> None:
    source = WeightFile("default")
    height, width = source.card.size_hw
    images = [np.full((height, width, 3), value, np.uint8) for value in (0, 100, 200)]
    low, high = find_ranges(source, images)["backbone.conv1"]
    card = source.card
    ends = [
        [(value / 255 - mean) / std for mean, std in zip(card.mean, card.std, strict=True)]
        for value in (0, 100, 200)
    ]
    assert low == pytest.approx(np.mean([min(end) for end in ends]), abs=1e-4)
    assert high == pytest.approx(np.mean([max(end) for end in ends]), abs=1e-4)


def test_images_of_any_size_do() -> None:
    source = WeightFile("default")
    ranges = find_ranges(source, [np.zeros((64, 100, 3), np.uint8)])
    assert ranges["backbone.conv2"][0] == 0


def test_no_image_is_refused() -> None:
    with pytest.raises(InputError, match="no images to find ranges on"):
        find_ranges(WeightFile("default"), [])
