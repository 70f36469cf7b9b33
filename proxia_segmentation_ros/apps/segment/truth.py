"""Ground-truth masks of segmented images, and the wrong labels according to them."""

from pathlib import Path

import numpy as np

from proxia_segmentation_ros.data.label_statistics import TruthReader
from proxia_segmentation_ros.data.pair_files import MASK_SUFFIXES
from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.labels import LabelSet, load_label_set
from proxia_segmentation_ros.sources.image_files import InputFile

IMAGE_TAIL = "_leftImg8bit"
MASK_TAILS = ("_gtFine_labelIds", "_gtCoarse_labelIds")


class TruthMasks:
    """A mask, or a folder of masks with the same subfolders and stems as the images.

    The endings of Cityscapes, `_leftImg8bit` and `_gtFine_labelIds` or `_gtCoarse_labelIds`, are
    ignored.
    """

    def __init__(self, path: Path, label_set: LabelSet) -> None:
        """Find the masks.

        Raises:
            InputError: the path does not exist.
        """
        self._path = path
        self._reader = TruthReader(label_set)
        self._masks: dict[Path, list[Path]] = {}
        if path.is_dir():
            found = sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in MASK_SUFFIXES and not file.name.startswith(".")
            )
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
            InputError: the mask is missing, unreadable or of another size, or there are two masks.
        """
        mask = self._find(file)
        truth_HW = self._reader.read(mask)
        if truth_HW.shape != image_HWC.shape[:2]:
            raise InputError.from_parts(
                f"mask {str(mask)!r} is {truth_HW.shape} and its image {image_HWC.shape[:2]}",
                "the same rows and columns",
                "correct one of them",
            )
        return truth_HW

    def list_unknown_ids(self) -> list[str]:
        """Return a sentence if the masks read so far hold ids that the label set doesn't know."""
        return self._reader.list_unknown_ids()

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
    """Return is_wrong_HW: where the label differs from the ground truth, which has a class."""
    is_wrong_HW: np.ndarray = (labels_HW != truth_HW) & (truth_HW != unlabeled_id)
    return is_wrong_HW


def choose_label_set(own: LabelSet, named: str) -> LabelSet:
    """Return the label set with source ids: the named one, the weights' own, or the shipped one.

    The shipped one of the same name and classes stands for the weights' own if their card is of
    version 0.1, which doesn't say the source ids.

    Raises:
        ConfigError: the named label set can't be read or has other classes.
    """
    if not named:
        if not list_assumed_ids(own):
            return own
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
    """Return the source id of each class id, the first if a class has several."""
    firsts = [entry.mask_ids[0] for entry in label_set.classes]
    nothing = (*label_set.source_ignore, label_set.unlabeled_id)[0]
    dtype = np.uint8 if max(*firsts, nothing) <= np.iinfo(np.uint8).max else np.uint16
    table = np.full(label_set.unlabeled_id + 1, nothing, dtype)
    table[: len(firsts)] = firsts
    return table


def list_assumed_ids(label_set: LabelSet) -> list[str]:
    """Return a sentence if nothing says which ids of masks mean the classes of the weights."""
    if any(label_class.source_ids for label_class in label_set.classes):
        return []
    return [
        f"the card of the weights, of version 0.1, doesn't say which ids of masks mean the classes "
        f"of {label_set.name!r}; 0 to {len(label_set) - 1} are assumed; name the label set that "
        "the weights were trained with (--label-set) if it has source_ids"
    ]


def _make_key(path: Path, tails: tuple[str, ...]) -> Path:
    """Return the path without its suffix and without the first matching ending."""
    stem = path.stem
    for tail in tails:
        if stem.endswith(tail):
            stem = stem.removesuffix(tail)
            break
    return path.with_name(stem)
