"""Augmentation of training pairs."""

import numpy as np
import pytest
from pydantic import ValidationError

from proxia_segmentation_ros.data.augmentation import (
    AugmentationSettings,
    augment_pair,
    mix_classes,
)

STILL = AugmentationSettings(
    crop_hw=(64, 96),
    scale_min=1.0,
    scale_max=1.0,
    brightness=0,
    contrast=0,
    saturation=0,
    white_balance=0,
    blur=0,
    noise=0,
)


def make_pair(height: int = 90, width: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Paint each class as its own grey, so that image and labels can be compared."""
    labels_HW = (np.arange(height * width).reshape(height, width) // 997 % 11).astype(np.uint8)
    return np.repeat((labels_HW * 20)[..., None], 3, axis=2), labels_HW


def test_same_generator_gives_same_pair() -> None:
    image_HWC, labels_HW = make_pair()
    settings = AugmentationSettings(crop_hw=(64, 96))
    one, two = (
        augment_pair(image_HWC, labels_HW, settings, np.random.default_rng(3), unlabeled_id=255)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


@pytest.mark.parametrize("seed", range(8))
def test_image_and_labels_stay_aligned(seed: int) -> None:
    image_HWC, labels_HW = make_pair()
    crop, labels = augment_pair(
        image_HWC, labels_HW, STILL, np.random.default_rng(seed), unlabeled_id=255
    )
    assert crop.shape == (64, 96, 3)
    assert labels.shape == (64, 96)
    inside = labels != 255
    off_by = np.abs(crop[..., 0].astype(int)[inside] - labels[inside].astype(int) * 20)
    assert (off_by > 10).mean() < 0.1


def test_image_smaller_than_crop_is_padded_with_unlabeled() -> None:
    image_HWC, labels_HW = make_pair(20, 30)
    _, labels = augment_pair(
        image_HWC, labels_HW, STILL, np.random.default_rng(0), unlabeled_id=255
    )
    assert labels.shape == (64, 96)
    assert 0.6 < (labels == 255).mean() < 0.95


def test_labels_never_get_new_ids() -> None:
    image_HWC, labels_HW = make_pair()
    settings = AugmentationSettings(crop_hw=(64, 96), scale_min=0.3, scale_max=3)
    for seed in range(20):
        _, labels = augment_pair(
            image_HWC, labels_HW, settings, np.random.default_rng(seed), unlabeled_id=255
        )
        assert set(np.unique(labels)) <= {*range(11), 255}


def test_light_changes_the_image_only() -> None:
    image_HWC, labels_HW = make_pair()
    dark = STILL.model_copy(update={"gamma": 2.5, "brightness": 0.5})
    means = []
    for seed in range(30):
        crop, _ = augment_pair(
            image_HWC, labels_HW, dark, np.random.default_rng(seed), unlabeled_id=255
        )
        means.append(crop.mean())
    assert max(means) - min(means) > 40


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        AugmentationSettings(scale_min=-1)


def test_dusk_takes_light_away_and_most_of_it_near_the_ground() -> None:
    image_HWC = np.full((90, 120, 3), 200, np.uint8)
    labels_HW = np.zeros((90, 120), np.uint8)
    settings = STILL.model_copy(update={"dusk": 1.0})
    for seed in range(5):
        dimmed, _ = augment_pair(
            image_HWC, labels_HW, settings, np.random.default_rng(seed), unlabeled_id=255
        )
        top, bottom = dimmed[0].mean(), dimmed[-1].mean()
        assert 200 * 0.15 < bottom < top < 200 * 0.85
        assert (dimmed[..., 0] <= dimmed[..., 1]).all()


def test_half_of_the_other_classes_is_pasted_with_its_pixels() -> None:
    under = np.full((40, 40, 3), 9, np.uint8), np.full((40, 40), 9, np.uint8)
    other_labels_HW = np.repeat(np.array([0, 1, 2, 255], np.uint8), 10)[None].repeat(40, axis=0)
    other = np.repeat(other_labels_HW[..., None], 3, axis=2), other_labels_HW
    image_HWC, labels_HW = mix_classes(under, other, np.random.default_rng(0), unlabeled_id=255)
    np.testing.assert_array_equal(image_HWC[..., 0], labels_HW)
    pasted = set(np.unique(labels_HW)) - {9}
    assert len(pasted) == 2
    assert pasted < {0, 1, 2}


def test_nothing_is_pasted_from_an_unlabelled_pair() -> None:
    under = np.full((8, 8, 3), 9, np.uint8), np.full((8, 8), 9, np.uint8)
    other = np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 255, np.uint8)
    image_HWC, labels_HW = mix_classes(under, other, np.random.default_rng(0), unlabeled_id=255)
    assert (image_HWC == 9).all()
    assert (labels_HW == 9).all()
