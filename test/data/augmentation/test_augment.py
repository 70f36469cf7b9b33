"""Augmentation of training pairs."""

import math

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from proxia_segmentation_ros.data.augmentation.augment import (
    AugmentationSettings,
    augment_pair,
    mix_classes,
)
from proxia_segmentation_ros.errors import ConfigError

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
    first, second = (
        augment_pair(image_HWC, labels_HW, settings, np.random.default_rng(3), unlabeled_id=255)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


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


def test_hue_turns_colours_within_its_range_and_leaves_grey() -> None:
    image_HWC = np.full((64, 96, 3), (200, 50, 50), np.uint8)
    image_HWC[:, 48:] = 120
    labels_HW = np.zeros((64, 96), np.uint8)
    settings = STILL.model_copy(update={"hue": 0.25, "flip": False, "stretch": 0.0})
    turns = []
    for seed in range(60):
        crop, _ = augment_pair(
            image_HWC, labels_HW, settings, np.random.default_rng(seed), unlabeled_id=255
        )
        assert np.abs(crop[:, 60:].astype(int) - 120).max() <= 1
        hue = int(cv2.cvtColor(crop[:1, :1], cv2.COLOR_RGB2HSV)[0, 0, 0])  # 180 is the circle
        turns.append((hue + 90) % 180 - 90)
    assert min(turns) >= -46
    assert max(turns) <= 46
    assert min(turns) < -30
    assert max(turns) > 30


def test_blur_has_the_sigma_of_its_range() -> None:
    image_HWC = np.zeros((64, 96, 3), np.uint8)
    image_HWC[:, 48:] = 255
    labels_HW = np.zeros((64, 96), np.uint8)
    steepest = []
    for sigma in (0.2, 3.0):
        settings = STILL.model_copy(
            update={"blur": 1.0, "blur_sigma": (sigma, sigma + 0.01), "stretch": 0.0}
        )
        crop, _ = augment_pair(
            image_HWC, labels_HW, settings, np.random.default_rng(0), unlabeled_id=255
        )
        steepest.append(np.abs(np.diff(crop[..., 0].astype(int), axis=1)).max())
    assert steepest[0] > 240
    assert steepest[1] < 255 / (3.0 * 2)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"blur": 1.0, "blur_sigma": (0.5, 0.2)}, "the smaller one first"),
        ({"blur": 1.0, "blur_sigma": (0.0, 0.2)}, "two numbers above 0"),
        ({"blur": 0.0, "blur_sigma": (0.15, 1.3)}, "change augmentation.blur"),
    ],
)
def test_blur_that_cannot_act_is_refused(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        AugmentationSettings.model_validate(settings)


def test_further_settings_leave_the_draws_of_older_ones() -> None:
    image_HWC, labels_HW = make_pair()
    settings = AugmentationSettings(crop_hw=(64, 96), hue=0.0, randaugment=None)
    actual, expected = np.random.default_rng(1), np.random.default_rng(1)
    augment_pair(image_HWC, labels_HW, settings, actual, unlabeled_id=255)
    # scale, stretch, offsets, area or linear, flip, gamma, three gains, brightness, contrast,
    # saturation, the size of the noise, noise, and whether to blur
    scale = math.exp(expected.uniform(math.log(0.5), math.log(2)))
    stretch = math.exp(expected.uniform(-0.1, 0.1))
    for length, side in ((90, 64 / stretch), (120, 96 * stretch)):
        low, high = sorted((0, length - round(side / scale)))
        expected.integers(low, high + 1)
    if scale < 1:
        expected.random()
    expected.random(1 + 1 + 3 + 1 + 1 + 1 + 1)
    expected.standard_normal((64, 96, 3), dtype=np.float32)
    expected.random(2 if expected.random() < settings.blur else 0)
    assert actual.bit_generator.state["state"] == expected.bit_generator.state["state"]


def test_changes_of_light_leave_a_dark_image_as_bright_as_it_was() -> None:
    night = np.full((20, 30, 3), 40, np.uint8)
    day = np.full((20, 30, 3), 150, np.uint8)
    labels = np.zeros((20, 30), np.uint8)
    dark: dict[float, list[float]] = {}
    for darkest in (0.0, 0.3):
        settings = AugmentationSettings(
            crop_hw=(20, 30), scale_min=1, scale_max=1, stretch=0, blur=0, noise=0, dusk=1.0,
            gamma=2.0, darkest=darkest,
        )  # fmt: skip
        dark[darkest] = [
            augment_pair(image, labels, settings, np.random.default_rng(seed), unlabeled_id=255)[
                0
            ].mean()
            for image in (night, day)
            for seed in range(40)
        ]
    assert min(dark[0.0][:40]) < 10
    assert min(dark[0.3][:40]) == pytest.approx(40, abs=1)
    assert min(dark[0.0][40:]) < 60
    assert min(dark[0.3][40:]) == pytest.approx(0.3 * 255, abs=1)
