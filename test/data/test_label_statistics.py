"""What is said of the masks before a training."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.data.dataset import Dataset
from proxia_segmentation_ros.data.datasets.folder import ImageMaskFolder
from proxia_segmentation_ros.data.label_statistics import list_label_problems
from proxia_segmentation_ros.data.sampling.limited_dataset import LimitedDataset
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import LabelClass, LabelSet

YARD = LabelSet(
    name="yard",
    classes=(
        LabelClass(id=0, name="ground", rgb=(1, 1, 1)),
        LabelClass(id=1, name="plant", rgb=(2, 2, 2)),
        LabelClass(id=2, name="thing", rgb=(3, 3, 3)),
    ),
    source_ignore=(9,),
)


def write_masks(folder: Path, *rows: list[int]) -> ImageMaskFolder:
    """Make a pair of each row of ids."""
    for place in ("images", "masks"):
        (folder / place).mkdir()
    for index, ids in enumerate(rows):
        mask = np.array([ids], np.uint8)
        cv2.imwrite(str(folder / "masks" / f"{index}.png"), mask)
        cv2.imwrite(str(folder / "images" / f"{index}.png"), np.zeros((*mask.shape, 3), np.uint8))
    return ImageMaskFolder(folder / "images", folder / "masks", YARD)


def test_masks_of_all_classes_need_no_word(tmp_path: Path) -> None:
    assert list_label_problems(write_masks(tmp_path, [0, 1, 9, 255], [2, 2, 0, 0])) == []


def test_ids_of_no_class_are_named_with_their_share(tmp_path: Path) -> None:
    [unknown, absent] = list_label_problems(write_masks(tmp_path, [1, 2, 3, 3], [1, 2, 7, 255]))
    assert unknown.startswith("ids 3, 7 in the masks are of no class and ignored, 37.5 % of all")
    assert "source_ids of the label set yard" in unknown
    assert absent.endswith("hold no pixel of ground")


def test_masks_without_any_class_are_refused(tmp_path: Path) -> None:
    pairs = write_masks(tmp_path, [7, 7], [9, 255])
    with pytest.raises(InputError, match=r"no pixel of the masks .* has a class \(id 7 in"):
        list_label_problems(pairs)


def test_large_sets_are_sampled_and_say_so(tmp_path: Path) -> None:
    pairs = write_masks(tmp_path, *[[0, 1]] * 5)
    [absent] = list_label_problems(pairs, most=2)
    assert absent.startswith("2 of 5 masks of ")


def test_labels_that_no_file_holds_are_counted_by_class(tmp_path: Path) -> None:
    pairs: Dataset = LimitedDataset(write_masks(tmp_path, [0, 1], [2, 2]), 1)
    [absent] = list_label_problems(pairs)
    assert absent.endswith("hold no pixel of thing")


def test_coloured_mask_is_refused_before_training(tmp_path: Path) -> None:
    pairs = write_masks(tmp_path, [0, 1], [2, 2])
    cv2.imwrite(str(tmp_path / "masks" / "1.png"), np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    with pytest.raises(InputError, match=r"1\.png"):
        list_label_problems(pairs)
