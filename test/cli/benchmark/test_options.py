import pytest

from proxia_segmentation_ros.cli.benchmark.options import make_images, make_rounds
from proxia_segmentation_ros.errors import ConfigError


def test_size_is_width_by_height() -> None:
    images = make_images("64x48", "synthetic", 3)
    assert (images.size_hw, images.source, images.count) == ((48, 64), "synthetic", 3)


def test_size_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="--size is 'large'"):
        make_images("large", "synthetic", 3)


def test_peak_comes_before_the_rates() -> None:
    images = make_images("64x48", "synthetic", 3)
    assert make_rounds(images, (5.0, 10.0), True, 4, 0.5).rates_hz == (0.0, 5.0, 10.0)
    settings = make_rounds(images, (5.0,), False, 4, 0.5)
    assert (settings.rates_hz, settings.rounds, settings.seconds) == ((5.0,), 4, 0.5)


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(ConfigError, match="no --rate and no --peak"):
        make_rounds(make_images("64x48", "synthetic", 3), (), False, 4, 0.5)
