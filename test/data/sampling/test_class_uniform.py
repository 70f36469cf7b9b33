"""Class-uniform sampling: what an epoch is made of, and that crops show their class."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.data.augmentation.augment import AugmentationSettings
from proxia_segmentation_ros.data.dataset import FocusedPair
from proxia_segmentation_ros.data.datasets.folder import ImageMaskFolder
from proxia_segmentation_ros.data.sampling.class_uniform import (
    ClassUniformSettings,
    ClassUniformSource,
    EpochPlan,
    Pool,
    open_class_uniform_source,
)
from proxia_segmentation_ros.data.sampling.mixture import PairMixture
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.labels import LabelSet, load_label_set

SIZE_HW = (60, 80)
FINE, COARSE = 12, 6
THREE = LabelSet.from_dict(
    {
        "name": "three",
        "classes": [
            {"id": k, "name": name, "rgb": [k, 0, 0]}
            for k, name in enumerate(("road", "car", "cat"))
        ],
    }
)


def write_folder(root: Path, masks: list[np.ndarray]) -> ImageMaskFolder:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for index, mask_HW in enumerate(masks):
        cv2.imwrite(str(root / "masks" / f"{index:03}.png"), mask_HW)
        image_HWC = np.full((*mask_HW.shape, 3), 100, np.uint8)
        cv2.imwrite(str(root / "images" / f"{index:03}.png"), image_HWC)
    return ImageMaskFolder(root / "images", root / "masks", THREE)


def make_road() -> np.ndarray:
    return np.zeros(SIZE_HW, np.uint8)


def make_road_with(class_id: int, x: int, y: int) -> np.ndarray:
    """Return a mask of road with 3x3 pixels of another class."""
    mask_HW = make_road()
    mask_HW[y : y + 3, x : x + 3] = class_id
    return mask_HW


@pytest.fixture
def fine(tmp_path: Path) -> ImageMaskFolder:
    """One of twelve images holds a car, none a cat."""
    masks = [make_road() for _ in range(FINE - 1)]
    return write_folder(tmp_path / "fine", [make_road_with(1, 70, 50), *masks])


@pytest.fixture
def coarse(tmp_path: Path) -> ImageMaskFolder:
    """Every coarse image holds a car and a cat."""
    mask_HW = make_road_with(1, 2, 3)
    mask_HW[40:50, 40:50] = 2
    return write_folder(tmp_path / "coarse", [mask_HW] * COARSE)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def open_source(
    fine: ImageMaskFolder, cache: Path, coarse: ImageMaskFolder | None = None, **settings: Any
) -> ClassUniformSource:
    return open_class_uniform_source(
        fine,
        ClassUniformSettings.model_validate({"tile_px": 1000, **settings}),
        seed=3,
        coarse=coarse,
        cache_folder=cache,
    )


def count_focused(source: ClassUniformSource, epoch: int) -> list[tuple[bool, int]]:
    """Return (is coarse, class at the centroid) of each pair with a centroid, sorted."""
    found = []
    for is_coarse, pair, focus_xy in source.plan.draw_epoch(epoch):
        if focus_xy is not None:
            dataset = source.coarse if is_coarse and source.coarse is not None else source.fine
            found.append((is_coarse, int(dataset.read_labels(pair)[focus_xy[1], focus_xy[0]])))
    return sorted(found)


def test_epoch_holds_each_class_as_often_and_whole_images(
    fine: ImageMaskFolder, cache: Path
) -> None:
    source = open_source(fine, cache)
    epoch = source.plan.draw_epoch(0)
    # 12 images * 0.5 / 3 classes = 2 of each class; no image has a cat.
    assert count_focused(source, 0) == [(False, 0)] * 2 + [(False, 1)] * 2
    whole = [place.pair for place in epoch if place.focus_xy is None]
    assert len(epoch) == FINE
    assert len(whole) == len(set(whole)) == FINE - 4


@pytest.mark.parametrize(("share", "of_each"), [(0.0, 0), (0.3, 1), (1.0, 4)])
def test_share_sets_how_many_pairs_are_drawn_by_class(
    fine: ImageMaskFolder, cache: Path, share: float, of_each: int
) -> None:
    source = open_source(fine, cache, share=share)
    assert count_focused(source, 0) == [(False, 0)] * of_each + [(False, 1)] * of_each
    assert len(source.plan.draw_epoch(0)) == FINE


def count_by_class(source: ClassUniformSource, epoch: int) -> list[int]:
    shown = [class_id for _, class_id in count_focused(source, epoch)]
    return [shown.count(class_id) for class_id in range(3)]


@pytest.mark.parametrize(("share", "epochs", "of_each"), [(0.1, 5, 2), (0.7, 5, 14), (0.05, 5, 1)])
def test_fractions_of_a_pair_are_carried_to_later_epochs(
    coarse: ImageMaskFolder,
    fine: ImageMaskFolder,
    cache: Path,
    share: float,
    epochs: int,
    of_each: int,
) -> None:
    # 12 images * 0.1 / 3 classes = 0.4 of each class.
    source = open_source(fine, cache, coarse, only_coarse=True, share=share)
    for start in (0, epochs, 7 * epochs):
        rows = [count_by_class(source, epoch) for epoch in range(start, start + epochs)]
        assert np.sum(rows, axis=0).tolist() == [of_each] * 3
        for row in rows:
            # Not every class in the same epoch: each epoch keeps the share.
            assert abs(sum(row) - FINE * share) < 1
            assert max(row) - min(row) <= 1


def test_few_images_of_many_classes_never_overfill_an_epoch() -> None:
    by_class = tuple(np.array([[0, 0, k, k]], np.int32) for k in range(19))
    images = np.array([[0, k, -1, -1] for k in range(3)], np.int32)
    seen: set[int] = set()
    for share in (0.4, 1.0):
        plan = EpochPlan(
            Pool(images, by_class), share=share, seed=5, first_pool=None, max_cu_epoch=0
        )
        for epoch in range(19):
            drawn = plan.draw_epoch(epoch)
            assert len(drawn) == 3
            seen |= {place.focus_xy[0] for place in drawn if place.focus_xy is not None}
            assert drawn == plan.draw_epoch(epoch)
    assert seen == set(range(19))


def test_share_of_nothing_reads_no_masks(fine: ImageMaskFolder, cache: Path) -> None:
    open_source(fine, cache, share=0.0)
    assert not cache.exists()


def test_every_image_comes_before_one_comes_again(fine: ImageMaskFolder, cache: Path) -> None:
    epoch = open_source(fine, cache, share=0.0).plan.draw_epoch(5)
    assert sorted(place.pair for place in epoch) == list(range(FINE))


def test_epochs_differ_and_are_equal_in_every_process(fine: ImageMaskFolder, cache: Path) -> None:
    one, two = open_source(fine, cache).plan, open_source(fine, cache).plan
    assert one.draw_epoch(0) != one.draw_epoch(1)
    far_first = [two[index] for index in (40, 3, 13)]
    assert far_first == [one[index] for index in (40, 3, 13)]
    assert [one[index] for index in range(2 * FINE)] == one.draw_epoch(0) + one.draw_epoch(1)


def test_coarse_pairs_leave_at_max_cu_epoch(
    fine: ImageMaskFolder, coarse: ImageMaskFolder, cache: Path
) -> None:
    plan = open_source(fine, cache, coarse, max_cu_epoch=2).plan
    has_coarse = [any(place.is_coarse for place in plan.draw_epoch(epoch)) for epoch in range(4)]
    assert has_coarse == [True, True, False, False]
    assert any(plan[index].is_coarse for index in range(2 * FINE))
    assert not any(plan[index].is_coarse for index in range(2 * FINE, 5 * FINE))


def test_only_chosen_classes_come_from_coarse_pairs(
    fine: ImageMaskFolder, coarse: ImageMaskFolder, cache: Path
) -> None:
    source = open_source(fine, cache, coarse, coarse_classes=("cat",))
    assert count_focused(source, 0) == [(False, 0)] * 2 + [(False, 1)] * 2 + [(True, 2)] * 2


def test_classes_come_from_coarse_pairs_alone_when_asked(
    fine: ImageMaskFolder, coarse: ImageMaskFolder, cache: Path
) -> None:
    source = open_source(fine, cache, coarse, only_coarse=True, max_cu_epoch=1)
    assert count_focused(source, 0) == [(True, k) for k in (0, 0, 1, 1, 2, 2)]
    assert count_focused(source, 1) == [(False, 0)] * 2 + [(False, 1)] * 2


def test_without_class_share_all_coarse_images_join_until_max_cu_epoch(
    fine: ImageMaskFolder, coarse: ImageMaskFolder, cache: Path
) -> None:
    plan = open_source(fine, cache, coarse, share=0.0, max_cu_epoch=1).plan
    first = plan.draw_epoch(0)
    assert len(first) == FINE + COARSE
    assert sum(place.is_coarse for place in first) == COARSE
    assert plan.locate(FINE + COARSE - 1) == (0, FINE + COARSE - 1)
    assert plan.locate(FINE + COARSE) == (1, 0)
    assert [plan[FINE + COARSE + slot] for slot in range(FINE)] == plan.draw_epoch(1)
    assert not any(place.is_coarse for place in plan.draw_epoch(1))


def draw_focused(root: Path, x: int, y: int) -> list[np.ndarray]:
    """Return the label crops of one image whose only cat, 3x3 pixels, is the point to show."""
    pairs = write_folder(root, [make_road_with(2, x, y)])
    augmentation = AugmentationSettings(crop_hw=(24, 32), scale_min=0.5, scale_max=2.0)
    source = AlwaysFocused(FocusedPair(*pairs[0], (x + 1, y + 1)))
    mixture = PairMixture([source], augmentation, seed=1, unlabeled_id=255)
    return [mixture[index][1] for index in range(200)]


@pytest.mark.parametrize("corner_xy", [(0, 0), (77, 0), (0, 57), (77, 57), (40, 30)])
def test_every_crop_shows_its_class(tmp_path: Path, corner_xy: tuple[int, int]) -> None:
    for labels_HW in draw_focused(tmp_path / "one", *corner_xy):
        assert labels_HW.shape == (24, 32)
        assert (labels_HW == 2).any()


def test_class_lies_anywhere_in_its_crops(tmp_path: Path) -> None:
    crops = draw_focused(tmp_path / "one", 40, 30)
    places = np.array([np.argwhere(labels_HW == 2).mean(axis=0) for labels_HW in crops])
    assert places.min(axis=0).max() < 3
    assert places[:, 0].max() > 24 - 4
    assert places[:, 1].max() > 32 - 4


class AlwaysFocused:
    """Draws one pair with one point."""

    name = "focused"
    weight = 1.0

    def __init__(self, drawn: FocusedPair) -> None:
        self._drawn = drawn

    def draw_at(self, index: int, rng: np.random.Generator) -> FocusedPair:
        return self._drawn


def test_mixture_shows_a_rare_class_in_its_share(fine: ImageMaskFolder, cache: Path) -> None:
    augmentation = AugmentationSettings(crop_hw=(12, 16), scale_min=1.0, scale_max=1.1)

    def count(share: float) -> int:
        source = open_source(fine, cache, share=share)
        mixture = PairMixture([source], augmentation, seed=1, unlabeled_id=255)
        return sum((mixture[index][1] == 1).any() for index in range(20 * FINE))

    assert count(0.0) <= 10
    # 2 of 12 pairs of each epoch.
    assert 40 <= count(0.5) <= 50


def test_mixed_pair_gets_classes_of_the_next_one(fine: ImageMaskFolder, cache: Path) -> None:
    seen: list[int] = []

    class Recorder:
        name = "recorder"
        weight = 1.0

        def draw_at(self, index: int, rng: np.random.Generator) -> FocusedPair:
            seen.append(index)
            return open_source(fine, cache).draw_at(index, rng)

    augmentation = AugmentationSettings(crop_hw=(12, 16), class_mix=1.0)
    PairMixture([Recorder()], augmentation, seed=1, unlabeled_id=255)[7]
    assert seen == [7, 8]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"coarse_classes": ("dog",)}, "'dog'"),
        ({"coarse_classes": ("cat",)}, "without a coarse data set"),
        ({"only_coarse": True}, "without a coarse data set"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    fine: ImageMaskFolder, cache: Path, settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        open_source(fine, cache, **settings)


def test_coarse_data_that_do_not_fit_are_refused(
    fine: ImageMaskFolder, coarse: ImageMaskFolder, cache: Path
) -> None:
    with pytest.raises(ConfigError, match="share is 0"):
        open_source(fine, cache, coarse, only_coarse=True, share=0.0)
    coarse.label_set = load_label_set("camvid")
    with pytest.raises(ConfigError, match="classes of camvid"):
        open_source(fine, cache, coarse)
