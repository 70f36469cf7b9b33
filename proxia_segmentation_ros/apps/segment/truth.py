"""Masks that belong to dumped images, and which of the image's labels they prove wrong."""

from pathlib import Path

import numpy as np

from proxia_segmentation_ros.data.datasets.folder import read_mask
from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.labels import LabelSet, load_label_set
from proxia_segmentation_ros.sources.image_files import InputFile

MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
IMAGE_TAIL = "_leftImg8bit"
MASK_TAILS = ("_gtFine_labelIds", "_gtCoarse_labelIds")


class TruthMasks:
    """One mask, or a folder of masks in the same folders and of the same stems as the images.

    Cityscapes' `_leftImg8bit` and `_gtFine_labelIds` (or `_gtCoarse_labelIds`) don't count.
    """

    def __init__(self, path: Path, label_set: LabelSet) -> None:
        """Look for the masks.

        Raises:
            InputError: nothing is there.
        """
        self._path = path
        self._label_set = label_set
        self._masks: dict[Path, list[Path]] = {}
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.suffix.lower() in MASK_SUFFIXES)
            for mask in found:
                key = _make_key(mask.relative_to(path), MASK_TAILS)
                self._masks.setdefault(key, []).append(mask)
        elif not path.is_file():
            raise InputError.from_parts(
                f"truth {str(path)!r} does not exist", "a folder of masks", "check the path"
            )

    def read(self, file: InputFile, image_HWC: np.ndarray) -> np.ndarray:
        """Return truth_HW of an image.

        Raises:
            InputError: its mask is missing, unreadable or of another size, or there are two.
        """
        mask = self._find(file)
        truth_HW = read_mask(mask, self._label_set)
        if truth_HW.shape != image_HWC.shape[:2]:
            raise InputError.from_parts(
                f"mask {str(mask)!r} is {truth_HW.shape} and its image {image_HWC.shape[:2]}",
                "the same rows and columns",
                "correct one of them",
            )
        return truth_HW

    def _find(self, file: InputFile) -> Path:
        if self._path.is_file():
            return self._path
        key = _make_key(file.folder / file.path.name, (IMAGE_TAIL,))
        if key not in self._masks:
            raise InputError.from_parts(
                f"no mask {(file.folder / key.name).as_posix()!r} in {str(self._path)!r}",
                f"a file of that name that ends in {', '.join(MASK_SUFFIXES)}",
                "add it, or leave --truth out",
            )
        mask, *others = self._masks[key]
        if others:
            raise InputError.from_parts(
                f"masks {str(mask)!r} and {str(others[0])!r} are both of this image",
                "one mask for an image",
                "take one away",
            )
        return mask


def find_wrong(labels_HW: np.ndarray, truth_HW: np.ndarray, unlabeled_id: int) -> np.ndarray:
    """Return is_wrong_HW: labelled otherwise than the truth, where that knows a class."""
    is_wrong_HW: np.ndarray = (labels_HW != truth_HW) & (truth_HW != unlabeled_id)
    return is_wrong_HW


def choose_label_set(own: LabelSet, named: str) -> LabelSet:
    """Return the weights' label set with source ids: as named, else as shipped, else its own.

    Raises:
        ConfigError: the named one can't be read or has other classes.
    """
    if not named:
        try:
            shipped = load_label_set(own.name)
        except ConfigError:
            return own
        return shipped if shipped.names == own.names else own
    label_set = load_label_set(named)
    if label_set.names != own.names:
        raise ConfigError.from_parts(
            f"label set {named!r} has the classes {', '.join(label_set.names)}",
            f"those of the weights: {', '.join(own.names)}",
            "name the label set that the weights were trained with",
        )
    return label_set


def make_source_ids(label_set: LabelSet) -> np.ndarray:
    """Return the data set's id of each class id, its first where it has several."""
    firsts = [(one.source_ids or (one.id,))[0] for one in label_set.classes]
    nothing = (*label_set.source_ignore, label_set.unlabeled_id)[0]
    dtype = np.uint8 if max(*firsts, nothing) <= np.iinfo(np.uint8).max else np.uint16
    table = np.full(label_set.unlabeled_id + 1, nothing, dtype)
    table[: len(firsts)] = firsts
    return table


def _make_key(path: Path, tails: tuple[str, ...]) -> Path:
    """Return the path without suffix and without the first of the tails that it has."""
    stem = path.stem
    for tail in tails:
        if stem.endswith(tail):
            stem = stem.removesuffix(tail)
            break
    return path.with_name(stem)
