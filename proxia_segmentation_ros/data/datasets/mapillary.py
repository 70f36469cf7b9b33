"""Mapillary Vistas 1.1 and 1.2: 65 classes, named and coloured by the config.json of the data set.

Folders are found as in these releases, and as in release 2.0, which has the labels of 1.2 in
`<split>/v1.2/` and their config in `config_v1.2.json`.
"""

import re
from pathlib import Path
from typing import Any, Literal

from proxia_segmentation_ros.data.datasets.layout import find_file, find_folder, pair_by_stem
from proxia_segmentation_ros.data.pair_files import PairFiles
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.parsing import parse_json

NAME = "Mapillary Vistas"
FOLDERS = {"train": "training", "val": "validation"}
CLASSES = 65


def open_mapillary(
    root: Path, split: Literal["train", "val"], *, keep_decoded: bool = False
) -> PairFiles:
    """Open the images and labels of a split.

    Raises:
        InputError: a folder, config.json or a mask is missing, or config.json has other classes.
    """
    config = find_file(NAME, [root / "config.json", root / "config_v1.2.json"])
    label_set = read_config(config)
    folder = root / FOLDERS[split]
    images = find_folder(NAME, [folder / "images"])
    masks = find_folder(NAME, [folder / "labels", folder / "v1.2" / "labels"])
    pairs = pair_by_stem(NAME, images, masks)
    return PairFiles(pairs, label_set, name=f"{NAME} {split}", keep_decoded=keep_decoded)


def read_config(path: Path) -> LabelSet:
    """Return the classes of a config.json; its last entry, Unlabeled, is not a class.

    Raises:
        InputError: the file is no config.json of 65 classes and Unlabeled.
    """
    try:
        entries = parse_json(path.read_text(encoding="utf-8"))["labels"]
        names = [make_name(str(entry["readable"])) for entry in entries]
        colours = [[int(value) for value in entry["color"]] for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError.from_parts(
            f"{str(path)!r} can't be read ({type(error).__name__}: {error})",
            "the config.json of Mapillary Vistas, `labels` of `readable` and `color`",
            "take it from the data set's archive",
        ) from error
    if len(names) != CLASSES + 1 or names[CLASSES] != "unlabeled":
        raise InputError.from_parts(
            f"{str(path)!r} names {len(names)} classes, the last {names[-1:]}",
            f"{CLASSES} classes and then Unlabeled, as in release 1.1 and 1.2",
            "use that release, or open the folder with a label set of your own",
        )
    classes: list[dict[str, Any]] = [
        {"id": index, "name": names[index], "rgb": colours[index], "source_ids": [index]}
        for index in range(CLASSES)
    ]
    return LabelSet.from_dict({"name": "mapillary", "classes": classes, "source_ignore": [CLASSES]})


def make_name(readable: str) -> str:
    """Return a class name in the style of label sets: crosswalk_plain for `Crosswalk - Plain`."""
    return re.sub(r"[^a-z0-9]+", "_", readable.lower()).strip("_")
