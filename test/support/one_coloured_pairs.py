"""Small data sets whose masks hold one id each, and what is read of them."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from proxia_segmentation_ros.data.datasets.catalogue import open_dataset
from proxia_segmentation_ros.labels import load_label_set

SIZE_HW = (6, 9)


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def write_pairs(images: Path, masks: Path, ids: list[int], suffix: str = "jpg") -> None:
    """Write a pair for each id whose mask holds that id alone."""
    for number, class_id in enumerate(ids):
        write(images / f"frame_{number}.{suffix}", np.zeros((*SIZE_HW, 3), np.uint8))
        write(masks / f"frame_{number}.png", np.full(SIZE_HW, class_id, np.uint8))


def write_mapillary(root: Path, *, release: str = "1.2") -> Path:
    mapillary = load_label_set("mapillary")
    labels = [
        {"readable": label_class.name.replace("_", " ").title(), "color": [label_class.id, 0, 1]}
        for label_class in mapillary.classes
    ]
    labels.append({"readable": "Unlabeled", "color": [0, 0, 0]})
    root.mkdir(exist_ok=True)
    name, place = (
        ("config_v1.2.json", "v1.2/labels") if release == "2.0" else ("config.json", "labels")
    )
    (root / name).write_text(json.dumps({"labels": labels}))
    for folder in ("training", "validation"):
        write_pairs(root / folder / "images", root / folder / place, [0, 64, 65])
    return root


def list_labels(name: str, root: Path, split: str, **options: Any) -> list[int]:
    """Return the label of each pair of one-coloured masks."""
    dataset = open_dataset(name, root, split, **options)
    found = []
    for index in range(len(dataset)):
        image_HWC, labels_HW = dataset[index]
        assert image_HWC.shape == (*labels_HW.shape, 3)
        np.testing.assert_array_equal(labels_HW, dataset.read_labels(index))
        assert all(path.is_file() for path in dataset.list_label_files(index))
        assert labels_HW.min() == labels_HW.max()
        found.append(int(labels_HW.max()))
    return found
