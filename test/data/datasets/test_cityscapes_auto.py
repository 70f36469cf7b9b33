"""Auto-labelled Cityscapes: what is taken out of a network's labels."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.data.dataset import Dataset
from proxia_segmentation_ros.data.datasets.catalogue import open_dataset
from proxia_segmentation_ros.data.sampling.centroids import make_key
from proxia_segmentation_ros.errors import ConfigError, InputError

SIZE_HW = (1024, 2048)
ROAD, CAR, TRUCK, SKY = 7, 26, 27, 23
STEM = "ulm_000000_000001"


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def write_tree(root: Path, place: str = "auto/train_extra/ulm") -> Path:
    """Write one image: sky above, road below, a truck in the middle that is coarsely a car."""
    labels_HW = np.full(SIZE_HW, ROAD, np.uint8)
    labels_HW[:500] = SKY
    labels_HW[510:520, 1000:1010] = TRUCK
    probability_HW = np.full(SIZE_HW, 200, np.uint8)
    probability_HW[600] = 127
    probability_HW[601] = 128
    write(
        root / "leftImg8bit/train_extra/ulm" / f"{STEM}_leftImg8bit.png",
        np.zeros((*SIZE_HW, 3), np.uint8),
    )
    write(
        root / "gtCoarse/train_extra/ulm" / f"{STEM}_gtCoarse_labelIds.png",
        np.full(SIZE_HW, CAR, np.uint8),
    )
    write(root / place / f"{STEM}_leftImg8bit.png", labels_HW)
    write(root / place / f"{STEM}_leftImg8bit_prob.png", probability_HW)
    return root


def open_auto(root: Path, **options: Any) -> Dataset:
    return open_dataset("cityscapes_auto", root, "train_extra", **{"auto_labels": "auto"} | options)


@pytest.mark.parametrize("place", ["auto/train_extra/ulm", "auto/ulm", "auto"])
def test_unsure_pixels_are_unlabeled(tmp_path: Path, place: str) -> None:
    dataset = open_auto(write_tree(tmp_path, place))
    labels_HW = dataset[0][1]
    assert dataset.is_coarse
    assert set(labels_HW[600]) == {255}
    assert set(labels_HW[601]) == {0}
    assert labels_HW[515, 1005] == 14


def test_probability_threshold_is_the_users(tmp_path: Path) -> None:
    write_tree(tmp_path)
    assert set(open_auto(tmp_path, min_probability=0.0)[0][1][600]) == {0}
    assert set(open_auto(tmp_path, min_probability=0.9)[0][1].ravel()) == {255}


def test_border_is_masked_when_asked(tmp_path: Path) -> None:
    labels_HW = open_auto(write_tree(tmp_path), mask_border=True)[0][1]
    rows, columns = np.nonzero(labels_HW != 255)
    assert (rows.min(), rows.max()) == (15, 839)
    assert (columns.min(), columns.max()) == (14, 2029)


def test_dropped_class_gets_the_coarse_label_alone(tmp_path: Path) -> None:
    labels_HW = open_auto(write_tree(tmp_path), dropout_classes=["truck", "bus"])[0][1]
    assert set(labels_HW[510:520, 1000:1010].ravel()) == {13}
    assert np.count_nonzero(labels_HW == 13) == 100
    assert np.count_nonzero(labels_HW == 14) == 0


def test_centroids_depend_on_every_rule_and_file(tmp_path: Path) -> None:
    write_tree(tmp_path)
    variants: list[dict[str, object]] = [
        {},
        {"min_probability": 0.6},
        {"mask_border": True},
        {"dropout_classes": ["truck"]},
    ]
    keys = {make_key(open_auto(tmp_path, **options), 1024) for options in variants}
    assert len(keys) == len(variants)
    before = make_key(open_auto(tmp_path), 1024)
    write(tmp_path / "auto/train_extra/ulm" / f"{STEM}_leftImg8bit_prob.png", np.eye(3, dtype="u1"))
    assert make_key(open_auto(tmp_path), 1024) != before


@pytest.mark.parametrize(
    ("removed", "named"),
    [
        (f"auto/train_extra/ulm/{STEM}_leftImg8bit.png", r"have no auto-label.*leftImg8bit\.png"),
        (f"auto/train_extra/ulm/{STEM}_leftImg8bit_prob.png", r"no probability image.*_prob\.png"),
        ("auto", "folder '.*auto' does not exist"),
        ("gtCoarse", "gtCoarse/gtCoarse/train_extra' does not exist"),
    ],
)
def test_missing_file_is_named(tmp_path: Path, removed: str, named: str) -> None:
    (write_tree(tmp_path) / removed).rename(tmp_path / "away")
    with pytest.raises(InputError, match=named):
        open_auto(tmp_path, dropout_classes=["truck"])


def test_coarse_labels_are_needed_for_dropout_alone(tmp_path: Path) -> None:
    (write_tree(tmp_path) / "gtCoarse").rename(tmp_path / "away")
    dataset = open_auto(tmp_path)
    assert len(dataset.list_label_files(0)) == 2
    assert dataset[0][1][515, 1005] == 14


def test_probability_of_another_size_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path)
    path = tmp_path / "auto/train_extra/ulm" / f"{STEM}_leftImg8bit_prob.png"
    write(path, np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match=r"_prob\.png' is \(4, 4\)"):
        open_auto(tmp_path).read_labels(0)


def test_border_of_another_size_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path)
    for path in (tmp_path / "auto/train_extra/ulm").iterdir():
        write(path, np.full((4, 4), 255, np.uint8))
    with pytest.raises(InputError, match=r"is \(4, 4\).*1024, 2048"):
        open_auto(tmp_path, mask_border=True).read_labels(0)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"dropout_classes": ["lorry"]}, "'lorry'"), ({"min_probability": 1.5}, "1.5")],
)
def test_wrong_option_is_refused(tmp_path: Path, options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        open_auto(write_tree(tmp_path), **options)


def test_auto_labels_have_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="given no auto_labels"):
        open_dataset("cityscapes_auto", write_tree(tmp_path), "train_extra")
