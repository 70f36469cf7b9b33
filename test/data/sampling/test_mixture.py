"""The mixture of training sources."""

import numpy as np
import pytest

from proxia_segmentation_ros.data.augmentation.augment import AugmentationSettings
from proxia_segmentation_ros.data.sampling.mixture import Pair, PairMixture, Source
from proxia_segmentation_ros.errors import ConfigError

SETTINGS = AugmentationSettings(crop_hw=(16, 16))


def make_source(name: str, weight: float, label: int) -> Source:
    def draw(rng: np.random.Generator) -> Pair:
        image_HWC = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        return image_HWC, np.full((32, 32), label, np.uint8)

    return Source(name=name, weight=weight, draw=draw)


def test_pair_is_a_function_of_seed_and_index() -> None:
    one = PairMixture([make_source("a", 1, 0)], SETTINGS, seed=5, unlabeled_id=255)
    two = PairMixture([make_source("a", 1, 0)], SETTINGS, seed=5, unlabeled_id=255)
    other = PairMixture([make_source("a", 1, 0)], SETTINGS, seed=6, unlabeled_id=255)
    np.testing.assert_array_equal(one[7][0], two[7][0])
    assert not np.array_equal(one[7][0], one[8][0])
    assert not np.array_equal(one[7][0], other[7][0])


def test_sources_come_in_their_shares() -> None:
    mixture = PairMixture(
        [make_source("a", 3, 0), make_source("b", 1, 1), make_source("off", 0, 2)],
        SETTINGS,
        seed=1,
        unlabeled_id=255,
    )
    drawn = [int(np.bincount(mixture[index][1].ravel()).argmax()) for index in range(400)]
    counts = np.bincount([label for label in drawn if label != 255], minlength=3)
    assert 0.65 < counts[0] / counts.sum() < 0.85
    assert counts[2] == 0


def test_weights_of_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="add up to 0"):
        PairMixture([make_source("a", 0, 0)], SETTINGS, seed=1, unlabeled_id=255)


def make_halves(name: str, left: int, right: int) -> Source:
    def draw(rng: np.random.Generator) -> Pair:
        labels_HW = np.full((32, 32), left, np.uint8)
        labels_HW[:, 16:] = right
        return np.zeros((32, 32, 3), np.uint8), labels_HW

    return Source(name=name, weight=1, draw=draw)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.5, 10, 40)])
def test_share_of_pairs_gets_classes_of_another(share: float, least: int, most: int) -> None:
    settings = AugmentationSettings(crop_hw=(32, 32), scale_min=1, scale_max=1.01, class_mix=share)
    sources = [make_halves("even", 0, 2), make_halves("odd", 1, 3)]
    mixture = PairMixture(sources, settings, seed=1, unlabeled_id=255)
    parities = [
        {int(label) % 2 for label in np.unique(mixture[i][1]) if label < 9} for i in range(100)
    ]
    assert least <= sum(parity == {0, 1} for parity in parities) <= most
