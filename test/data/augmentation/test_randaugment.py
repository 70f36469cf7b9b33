"""RandAugment of pairs: its operations, and that labels follow the image."""

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from proxia_segmentation_ros.data.augmentation.augment import augment_pair
from proxia_segmentation_ros.data.augmentation.randaugment import (
    OPERATIONS,
    apply_operation,
    apply_randaugment,
)
from proxia_segmentation_ros.data.augmentation.settings import (
    AugmentationSettings,
    RandAugmentSettings,
)
from proxia_segmentation_ros.data.dataset import Pair

UNLABELED = 65
GEOMETRIES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
COLOURS = sorted(set(OPERATIONS) - {"identity", *GEOMETRIES})
HEIGHT, WIDTH = 60, 90


def make_pair() -> Pair:
    """Paint each class as its own grey above 0, so that image and labels can be compared."""
    labels_HW = np.add.outer(np.arange(HEIGHT) // 12 * 2, np.arange(WIDTH) // 18).astype(np.uint8)
    return np.repeat((labels_HW * 15 + 30)[..., None], 3, axis=2), labels_HW


def apply(name: str, magnitude: float, pair: Pair, *, is_turned: bool = False) -> Pair:
    return apply_operation(pair, name, magnitude, is_turned=is_turned, unlabeled_id=UNLABELED)


def test_there_are_thirteen_operations_and_identity() -> None:
    assert len(OPERATIONS) == 14
    pair = make_pair()
    assert apply("identity", 30, pair) is pair


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("is_turned", [False, True])
def test_labels_move_with_their_pixels(name: str, is_turned: bool) -> None:
    pair = make_pair()
    image_HWC, labels_HW = apply(name, 20, pair, is_turned=is_turned)
    assert image_HWC.shape == pair[0].shape
    assert (labels_HW != pair[1]).mean() > 0.1
    inside_HW = labels_HW != UNLABELED
    painted_HW = labels_HW.astype(int) * 15 + 30
    off_HW = np.abs(image_HWC[..., 0].astype(int) - painted_HW) > 8
    # Only at the borders of classes, where the image is blended, may they differ.
    assert off_HW[inside_HW].mean() < 0.12


@pytest.mark.parametrize("name", GEOMETRIES)
def test_what_moves_in_is_black_and_unlabeled(name: str) -> None:
    for is_turned in (False, True):
        image_HWC, labels_HW = apply(name, 30, make_pair(), is_turned=is_turned)
        outside_HW = labels_HW == UNLABELED
        assert 0.05 < outside_HW.mean() < 0.5
        assert set(np.unique(labels_HW)) <= {*range(13), UNLABELED}
        # A pixel beside the image is blended with it.
        inner_HW = cv2.erode(outside_HW.astype(np.uint8), np.ones((3, 3)), borderValue=1) == 1
        assert not image_HWC[inner_HW].any()


@pytest.mark.parametrize(
    ("name", "is_turned", "point_xy", "moved_xy"),
    [
        ("translate_x", False, (30, 20), (60, 20)),
        ("translate_x", True, (60, 20), (30, 20)),
        ("translate_y", False, (30, 20), (30, 40)),
        ("shear_x", False, (30, 40), (42, 40)),
        ("shear_x", True, (30, 40), (18, 40)),
        ("shear_y", False, (40, 20), (40, 32)),
        ("rotate", False, (45, 30), (45, 30)),
        ("rotate", True, (65, 30), (62, 40)),
    ],
)
def test_largest_magnitude_moves_by_the_end_of_the_range(
    name: str, is_turned: bool, point_xy: tuple[int, int], moved_xy: tuple[int, int]
) -> None:
    labels_HW = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels_HW[point_xy[1], point_xy[0]] = 1
    labels_HW = np.asarray(cv2.dilate(labels_HW, np.ones((3, 3))))
    image_HWC = np.repeat(labels_HW[..., None], 3, axis=2)
    _, moved_HW = apply(name, 30, (image_HWC, labels_HW), is_turned=is_turned)
    y, x = np.argwhere(moved_HW == 1).mean(axis=0)
    assert abs(x - moved_xy[0]) < 1
    assert abs(y - moved_xy[1]) < 1


@pytest.mark.parametrize("name", GEOMETRIES)
def test_geometry_of_no_magnitude_moves_nothing(name: str) -> None:
    pair = make_pair()
    for before, after in zip(pair, apply(name, 0, pair), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", COLOURS)
def test_colours_change_the_image_alone(name: str) -> None:
    rng = np.random.default_rng(0)
    image_HWC = rng.integers(20, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    before, labels_HW = image_HWC.copy(), make_pair()[1]
    # Posterizing to 4 bits is the weakest of its range.
    changed_HWC, kept_HW = apply(name, 3, (image_HWC, labels_HW))
    assert kept_HW is labels_HW
    assert changed_HWC.dtype == np.uint8
    assert (changed_HWC != before).mean() > 0.3
    np.testing.assert_array_equal(image_HWC, before)


@pytest.mark.parametrize(
    ("name", "magnitude", "before", "after"),
    [
        ("invert", 10, 50, 205),
        ("solarize", 15, 54, 54),  # threshold 55
        ("solarize", 15, 55, 200),
        ("posterize", 0, 0b10111111, 0b10110000),
        ("posterize", 30, 0b10111111, 0b10111111),
        ("brightness", 0, 100, 10),
        ("brightness", 15, 100, 100),
        ("brightness", 30, 100, 190),
    ],
)
def test_values_follow_the_range(name: str, magnitude: float, before: int, after: int) -> None:
    image_HWC = np.full((4, 5, 3), before, np.uint8)
    changed_HWC, _ = apply(name, magnitude, (image_HWC, np.zeros((4, 5), np.uint8)))
    assert (changed_HWC == after).all()


def test_colour_takes_saturation_away_or_adds_to_it() -> None:
    image_HWC = np.full((4, 5, 3), (150, 100, 80), np.uint8)
    labels_HW = np.zeros((4, 5), np.uint8)
    spans = [np.ptp(apply("colour", m, (image_HWC, labels_HW))[0][0, 0]) for m in (0, 15, 30)]
    assert spans[0] < 15
    assert spans[1] == 70
    assert spans[2] > 120


def test_every_operation_is_drawn_and_pairs_follow_the_generator() -> None:
    pair = make_pair()
    settings = RandAugmentSettings(operations=1, magnitude=9)

    def draw(seed: int) -> bytes:
        changed = apply_randaugment(
            *pair, settings, np.random.default_rng(seed), unlabeled_id=UNLABELED
        )
        return changed[0].tobytes() + changed[1].tobytes()

    drawn = [draw(seed) for seed in range(300)]
    assert drawn == [draw(seed) for seed in range(300)]
    kinds = {apply(name, 9, pair)[0].tobytes() for name in OPERATIONS}
    turned = {apply(name, 9, pair, is_turned=True)[0].tobytes() for name in GEOMETRIES}
    assert {drawn_bytes[: pair[0].size] for drawn_bytes in drawn} == kinds | turned


def test_setting_acts_in_training_pairs_and_spares_ids() -> None:
    image_HWC, labels_HW = make_pair()
    plain = AugmentationSettings(crop_hw=(32, 48), blur=0, noise=0)
    strong = plain.model_copy(
        update={"randaugment": RandAugmentSettings(operations=3, magnitude=30)}
    )
    differ = 0
    for seed in range(30):
        one, two = (
            augment_pair(
                image_HWC, labels_HW, each, np.random.default_rng(seed), unlabeled_id=UNLABELED
            )
            for each in (plain, strong)
        )
        differ += not np.array_equal(one[0], two[0])
        assert two[0].shape == (32, 48, 3)
        assert set(np.unique(two[1])) <= {*range(13), UNLABELED}
    assert differ > 25


@pytest.mark.parametrize("wrong", [{"operations": 0}, {"magnitude": 31}, {"N": 2}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AugmentationSettings.model_validate({"randaugment": wrong})
