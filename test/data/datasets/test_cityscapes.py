"""Cityscapes: layout, label ids, splits by city, coarse labels."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.data.datasets.catalogue import open_dataset
from proxia_segmentation_ros.data.datasets.cityscapes import City, split_cities
from proxia_segmentation_ros.errors import ConfigError, InputError

SIZE_HW = (8, 16)
TRAIN_CITIES = ("aachen", "bochum", "bremen", "cologne", "ulm", "zurich")
VAL_CITIES = ("frankfurt", "munster")


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def write_city(images: Path, masks: Path, kind: str, label_id: int, frames: int = 1) -> None:
    """Write frames of one city whose masks hold one label id and, in a corner, ignored ids."""
    for frame in range(frames):
        stem = f"{images.name}_000000_{frame:06}"
        write(images / f"{stem}_leftImg8bit.png", np.zeros((*SIZE_HW, 3), np.uint8))
        mask_HW = np.full(SIZE_HW, label_id, np.uint8)
        mask_HW[0, :3] = (0, 4, 29)
        write(masks / f"{stem}_{kind}_labelIds.png", mask_HW)
        write(masks / f"{stem}_{kind}_color.png", np.zeros((*SIZE_HW, 3), np.uint8))


def write_fine(root: Path, *, with_archives: bool = False) -> Path:
    images = root / "leftImg8bit_trainvaltest" if with_archives else root
    masks = root / "gtFine_trainvaltest" if with_archives else root
    for split, cities in (("train", TRAIN_CITIES), ("val", VAL_CITIES)):
        for number, city in enumerate(cities):
            write_city(
                images / "leftImg8bit" / split / city,
                masks / "gtFine" / split / city,
                "gtFine",
                21 + number,
                frames=2,
            )
    return root


def write_coarse(root: Path) -> Path:
    for city in ("augsburg", "wuppertal"):
        images = root / "leftImg8bit" / "train_extra" / city
        write_city(images, root / "gtCoarse" / "train_extra" / city, "gtCoarse", 26)
    return root


def list_cities(root: Path, split: str, **options: Any) -> list[str]:
    dataset = open_dataset("cityscapes", root, split, **options)
    return sorted({image.parent.name for image, _ in dataset.paths})


@pytest.mark.parametrize("with_archives", [False, True])
def test_official_split_is_read_in_both_layouts(tmp_path: Path, with_archives: bool) -> None:
    dataset = open_dataset("cityscapes", write_fine(tmp_path, with_archives=with_archives), "train")
    assert len(dataset) == 2 * len(TRAIN_CITIES)
    assert not dataset.is_coarse
    assert len(dataset.label_set) == 19
    image_HWC, labels_HW = dataset[0]
    assert image_HWC.shape == (*SIZE_HW, 3)
    assert labels_HW[0, :4].tolist() == [255, 255, 255, 8]
    assert labels_HW[1:].tolist() == [[8] * 16] * 7
    assert dataset.paths[0][1].name == "aachen_000000_000000_gtFine_labelIds.png"
    np.testing.assert_array_equal(labels_HW, dataset.read_labels(0))


def test_cross_validation_moves_the_window_of_validation_cities(tmp_path: Path) -> None:
    root = write_fine(tmp_path)
    # Order: frankfurt munster aachen bochum bremen cologne ulm zurich; starts 0, 8//3, 16//3.
    assert list_cities(root, "val") == ["frankfurt", "munster"]
    assert list_cities(root, "val", cross_validation=1) == ["aachen", "bochum"]
    assert list_cities(root, "val", cross_validation=2) == ["cologne", "ulm"]
    for number in range(3):
        held_out = list_cities(root, "val", cross_validation=number)
        trained = list_cities(root, "train", cross_validation=number)
        assert sorted(held_out + trained) == sorted(TRAIN_CITIES + VAL_CITIES)
    assert list_cities(root, "trainval") == sorted(TRAIN_CITIES + VAL_CITIES)


def test_published_cities_split_at_7_and_14() -> None:
    names = [f"v{k}" for k in range(3)] + [f"t{k:02}" for k in range(18)]
    cities = [City("val" if name[0] == "v" else "train", name) for name in names]
    starts = [
        cities.index(split_cities(cities, "val", cross_validation)[0])
        for cross_validation in range(3)
    ]
    assert starts == [0, 7, 14]


@pytest.mark.parametrize(
    ("removed", "named"),
    [
        ("leftImg8bit/val", r"leftImg8bit_trainvaltest/leftImg8bit/val'.*leftImg8bit/val'"),
        ("gtFine/train", r"gtFine_trainvaltest/gtFine/train'.*gtFine/train'"),
        ("gtFine/train/ulm", r"2 of 12 images have no mask.*ulm_000000_000000_gtFine_labelIds"),
    ],
)
def test_missing_folder_is_named(tmp_path: Path, removed: str, named: str) -> None:
    (write_fine(tmp_path) / removed).rename(tmp_path / "away")
    with pytest.raises(InputError, match=named):
        open_dataset("cityscapes", tmp_path, "train")


def test_other_files_in_a_city_do_not_count(tmp_path: Path) -> None:
    city = write_fine(tmp_path) / "leftImg8bit" / "val" / "munster"
    for name in ("._munster_000000_000000_leftImg8bit.png", "license.txt", "cover.png"):
        (city / name).write_text("")
    assert len(open_dataset("cityscapes", tmp_path, "val")) == 4


def test_missing_mask_is_named(tmp_path: Path) -> None:
    name = "munster_000000_000001_gtFine_labelIds.png"
    (write_fine(tmp_path) / "gtFine" / "val" / "munster" / name).unlink()
    with pytest.raises(InputError, match=rf"1 of 4 images have no mask.*{name}"):
        open_dataset("cityscapes", tmp_path, "val")


def test_split_without_cities_and_cities_without_images_are_refused(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / "gtFine" / split).mkdir(parents=True)
        (tmp_path / "leftImg8bit" / split).mkdir(parents=True)
    with pytest.raises(InputError, match=r"leftImg8bit/val' holds no city"):
        open_dataset("cityscapes", tmp_path, "train")
    (tmp_path / "leftImg8bit" / "val" / "ulm").mkdir()
    (tmp_path / "leftImg8bit" / "train" / "aachen").mkdir()
    with pytest.raises(InputError, match="holds no image of Cityscapes"):
        open_dataset("cityscapes", tmp_path, "train")


@pytest.mark.parametrize(("split", "options"), [("test", {}), ("val", {"cross_validation": 3})])
def test_unknown_split_is_refused(tmp_path: Path, split: str, options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="of data set cityscapes is"):
        open_dataset("cityscapes", write_fine(tmp_path), split, **options)


def test_coarse_labels_are_read_and_marked_coarse(tmp_path: Path) -> None:
    dataset = open_dataset("cityscapes_coarse", write_coarse(tmp_path), "train_extra")
    assert len(dataset) == 2
    assert dataset.is_coarse
    assert dataset[1][1][1:].max() == 13


def test_missing_coarse_labels_are_named(tmp_path: Path) -> None:
    (write_coarse(tmp_path) / "gtCoarse").rename(tmp_path / "away")
    with pytest.raises(InputError, match=r"gtCoarse/gtCoarse/train_extra'.*gtCoarse/train_extra'"):
        open_dataset("cityscapes_coarse", tmp_path, "train_extra")
