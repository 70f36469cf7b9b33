"""Cityscapes: fine labels with splits by city, and coarse labels.

Folders are found when unpacked in place (`leftImg8bit/`, `gtFine/`) and with one folder per archive
(`leftImg8bit_trainvaltest/leftImg8bit/`, `gtFine_trainvaltest/gtFine/`).
"""

from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from proxia_segmentation_ros.data.dataset import PathPair
from proxia_segmentation_ros.data.datasets.layout import (
    check_files,
    check_found,
    find_folder,
    list_images,
)
from proxia_segmentation_ros.data.pair_files import PairFiles
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import load_label_set

NAME = "Cityscapes"
IMAGE_ENDING = "_leftImg8bit.png"
FineSplit: TypeAlias = Literal["train", "val", "trainval"]
CoarseSplit: TypeAlias = Literal["train_extra", "train", "val"]
CrossValidation: TypeAlias = Literal[0, 1, 2]
CROSS_VALIDATION_SPLITS = 3


class City(NamedTuple):
    """A city's folder name and its official split."""

    split: str
    name: str


def open_cityscapes(
    root: Path,
    split: FineSplit,
    *,
    cross_validation: CrossValidation = 0,
    keep_decoded: bool = False,
) -> PairFiles:
    """Open the fine labels of a split; `cross_validation` 0 is the official split.

    Raises:
        InputError: a folder, city or mask is missing.
    """
    images = {
        name: find_images(root, name, archive="leftImg8bit_trainvaltest")
        for name in ("train", "val")
    }
    masks = {
        name: find_folder(
            NAME, [root / "gtFine_trainvaltest" / "gtFine" / name, root / "gtFine" / name]
        )
        for name in ("train", "val")
    }
    pairs: list[PathPair] = []
    for city in split_cities(list_cities(images), split, cross_validation):
        pairs += [
            (image, _name_mask(masks[city.split], image, "_gtFine_labelIds.png"))
            for image in list_images(images[city.split] / city.name, IMAGE_ENDING)
        ]
    check_found(NAME, images["train"].parent, pairs)
    check_files(NAME, "mask", [mask for _, mask in pairs])
    return PairFiles(
        pairs, load_label_set("cityscapes"), name=f"{NAME} {split}", keep_decoded=keep_decoded
    )


def open_cityscapes_coarse(
    root: Path, split: CoarseSplit = "train_extra", *, keep_decoded: bool = False
) -> PairFiles:
    """Open the coarse labels of a split.

    Raises:
        InputError: a folder or mask is missing.
    """
    archive = "trainextra" if split == "train_extra" else "trainvaltest"
    images = find_images(root, split, archive=f"leftImg8bit_{archive}")
    return PairFiles(
        pair_coarse(root, images, split),
        load_label_set("cityscapes"),
        name=f"{NAME} coarse {split}",
        is_coarse=True,
        keep_decoded=keep_decoded,
    )


def find_images(root: Path, split: str, *, archive: str) -> Path:
    """Return the folder of a split's images.

    Raises:
        InputError: the folder does not exist.
    """
    flat = root / "leftImg8bit" / split
    return find_folder(NAME, [root / archive / "leftImg8bit" / split, flat])


def pair_coarse(root: Path, images: Path, split: str) -> list[PathPair]:
    """Return the images of a split with their coarse masks.

    Raises:
        InputError: a folder or mask is missing.
    """
    masks = find_folder(NAME, [root / "gtCoarse" / "gtCoarse" / split, root / "gtCoarse" / split])
    pairs = [
        (image, _name_mask(masks, image, "_gtCoarse_labelIds.png"))
        for image in list_city_images(images)
    ]
    check_files(NAME, "mask", [mask for _, mask in pairs])
    return pairs


def list_city_images(images: Path) -> list[Path]:
    """Return the images of every city of a split.

    Raises:
        InputError: there are no images.
    """
    found = [
        image
        for city in _list_folders(images)
        for image in list_images(images / city, IMAGE_ENDING)
    ]
    check_found(NAME, images, found)
    return found


def _name_mask(masks: Path, image: Path, ending: str) -> Path:
    """Return the path of an image's mask, whether it exists or not."""
    return masks / image.parent.name / f"{image.name.removesuffix(IMAGE_ENDING)}{ending}"


def list_cities(images: dict[str, Path]) -> list[City]:
    """Return the cities of val, then those of train, each sorted by name.

    Raises:
        InputError: a split holds no city.
    """
    cities = []
    for split in ("val", "train"):
        names = _list_folders(images[split])
        if not names:
            raise InputError.from_parts(
                f"folder {str(images[split])!r} holds no city",
                "a folder for each city",
                "unpack the archive of images",
            )
        cities += [City(split, name) for name in names]
    return cities


def split_cities(cities: list[City], split: str, cross_validation: int) -> list[City]:
    """Return the cities of a split; each of three cross-validation splits has another val."""
    if split == "trainval":
        return cities
    validation_cities = sum(city.split == "val" for city in cities)
    start = cross_validation * len(cities) // CROSS_VALIDATION_SPLITS
    chosen = cities[start : start + validation_cities]
    return chosen if split == "val" else [city for city in cities if city not in chosen]


def _list_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())
