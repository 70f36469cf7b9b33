import numpy as np
import pytest
from PIL import Image

from proxia_segmentation_ros.benchmark.images import load_images
from proxia_segmentation_ros.errors import InputError


def test_synthetic_images_have_the_size_that_is_asked_for() -> None:
    images = load_images("synthetic", (48, 64), 2)
    assert [image.shape for image in images] == [(48, 64, 3)] * 2
    assert images[0].dtype == np.uint8
    assert (images[0] != images[1]).any()


def test_images_of_a_folder_are_resized(tmp_path) -> None:
    colours = [(250, 10, 10), (10, 250, 10), (10, 10, 250)]
    for number, colour in enumerate(colours):
        Image.new("RGB", (64, 48), colour).save(tmp_path / f"{number}.png")
    first, second = load_images(str(tmp_path), (24, 32), 2)
    assert first.shape == (24, 32, 3)
    assert (first == colours[0]).all()
    assert (second == colours[1]).all()


def test_missing_source_is_an_error() -> None:
    with pytest.raises(InputError, match="/no/such"):
        load_images("/no/such", (24, 32), 2)
