"""Cityscapes' extra images with labels and confidences predicted by a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from proxia_segmentation_ros.data.datasets.cityscapes import (
    NAME,
    find_images,
    list_city_images,
    pair_coarse,
)
from proxia_segmentation_ros.data.datasets.layout import check_files, find_folder
from proxia_segmentation_ros.data.pair_files import PairFiles, read_ids, read_mask
from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.labels import LabelSet, load_label_set

SIZE_HW = (1024, 2048)
# Outside are the bonnet of the recording car and the edges of the rectified images.
INNER_ROWS = slice(15, 840)
INNER_COLUMNS = slice(14, 2030)


class AutoLabels(PairFiles):
    """Predicted labels without uncertain pixels, the border and unreliable classes.

    Pixels below `min_probability` and, with `mask_border`, those at the border become unlabeled.
    Then the remaining pixels of `dropout_classes` get their coarse label.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Path, Path]],
        label_set: LabelSet,
        *,
        probabilities: Sequence[Path],
        coarse: Sequence[Path],
        min_probability: float,
        dropout_classes: Sequence[str],
        mask_border: bool,
        keep_decoded: bool,
    ) -> None:
        super().__init__(
            pairs,
            label_set,
            name=f"{NAME} auto-labelled",
            is_coarse=True,
            keep_decoded=keep_decoded,
        )
        self._probabilities = probabilities
        self._coarse = coarse
        self._min_probability = min_probability
        self._dropout_ids = [label_set.names.index(name) for name in dropout_classes]
        self._mask_border = mask_border

    @property
    def label_rules(self) -> Mapping[str, object]:
        """Return the settings besides the files that the labels depend on."""
        return {
            "min_probability": self._min_probability,
            "dropout_ids": self._dropout_ids,
            "mask_border": self._mask_border,
        }

    def list_label_files(self, index: int) -> Sequence[Path]:
        """Return the files of labels, probabilities and, if used, coarse labels."""
        files = (self.paths[index][1], self._probabilities[index])
        return (*files, self._coarse[index]) if self._dropout_ids else files

    def read_labels(self, index: int) -> np.ndarray:
        """Return labels_HW of one pair without reading its image.

        Raises:
            InputError: a file can't be read or differs in size from another.
        """
        path = self.paths[index][1]
        labels_HW = read_mask(path, self.label_set)
        probability_HW = read_ids(self._probabilities[index])
        _check_size(self._probabilities[index], probability_HW, path, labels_HW.shape)
        unlabeled_id = self.label_set.unlabeled_id
        largest = np.iinfo(probability_HW.dtype).max
        labels_HW[probability_HW < self._min_probability * largest] = unlabeled_id
        if self._mask_border:
            _check_size(path, labels_HW, "the border's", SIZE_HW)
            inner_HW = np.full_like(labels_HW, unlabeled_id)
            inner_HW[INNER_ROWS, INNER_COLUMNS] = labels_HW[INNER_ROWS, INNER_COLUMNS]
            labels_HW = inner_HW
        if self._dropout_ids:
            coarse_HW = read_mask(self._coarse[index], self.label_set)
            _check_size(self._coarse[index], coarse_HW, path, labels_HW.shape)
            dropped_HW = np.isin(labels_HW, self._dropout_ids)
            labels_HW[dropped_HW] = coarse_HW[dropped_HW]
        return labels_HW


def open_cityscapes_auto(
    root: Path,
    split: Literal["train_extra"] = "train_extra",
    *,
    auto_labels: Path,
    min_probability: Annotated[float, Field(ge=0, le=1)] = 0.5,
    dropout_classes: tuple[str, ...] = (),
    mask_border: bool = False,
    keep_decoded: bool = False,
) -> AutoLabels:
    """Open the labels in the folder `auto_labels` (relative to `root`).

    For each image that folder holds `<image>.png` with label ids and `<image>_prob.png` with their
    probability (white is 1), in `train_extra/<city>/`, in `<city>/`, or directly. Coarse labels
    are needed only for `dropout_classes`.

    Raises:
        ConfigError: `dropout_classes` names no class of Cityscapes.
        InputError: a folder or file is missing.
    """
    label_set = load_label_set("cityscapes")
    for name in dropout_classes:
        if name not in label_set.names:
            raise ConfigError.from_parts(
                f"dropout_classes names {name!r}",
                f"classes of Cityscapes: {', '.join(label_set.names)}",
                "correct the recipe",
            )
    folder = find_images(root, split, archive="leftImg8bit_trainextra")
    images = list_city_images(folder)
    made = find_folder(f"{NAME}' auto-labels", [root / auto_labels])
    labels = [_place(made, image, split) for image in images]
    probabilities = [path.with_name(f"{path.stem}_prob.png") for path in labels]
    check_files(f"{NAME}' auto-labels", "auto-label", labels)
    check_files(f"{NAME}' auto-labels", "probability image", probabilities)
    coarse = [mask for _, mask in pair_coarse(root, folder, split)] if dropout_classes else []
    return AutoLabels(
        list(zip(images, labels, strict=True)),
        label_set,
        probabilities=probabilities,
        coarse=coarse,
        min_probability=min_probability,
        dropout_classes=dropout_classes,
        mask_border=mask_border,
        keep_decoded=keep_decoded,
    )


def _place(folder: Path, image: Path, split: str) -> Path:
    """Return the path of an image's label: by split and city, by city, or directly."""
    city = image.parent.name
    places = (folder / split / city, folder / city)
    found = next((place for place in places if place.is_dir()), folder)
    return found / image.name


def _check_size(
    path: Path, values_HW: np.ndarray, other: Path | str, size_hw: tuple[int, ...]
) -> None:
    if values_HW.shape != size_hw:
        raise InputError.from_parts(
            f"{str(path)!r} is {values_HW.shape} (rows, columns)",
            f"{size_hw} like {other}",
            "write that file again",
        )
