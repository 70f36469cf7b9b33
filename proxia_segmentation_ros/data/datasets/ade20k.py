"""ADE20K scene parsing benchmark (ADEChallengeData2016): 150 classes."""

from pathlib import Path
from typing import Literal

from proxia_segmentation_ros.data.datasets.layout import find_folder, pair_by_stem
from proxia_segmentation_ros.data.pair_files import PairFiles
from proxia_segmentation_ros.labels import load_label_set

NAME = "ADE20K"
ARCHIVE = "ADEChallengeData2016"
FOLDERS = {"train": "training", "val": "validation"}


def open_ade20k(
    root: Path, split: Literal["train", "val"], *, keep_decoded: bool = False
) -> PairFiles:
    """Open a split; `root` is the unpacked archive or the folder that holds it.

    Raises:
        InputError: a folder or mask is missing.
    """
    folder = FOLDERS[split]
    images = find_folder(NAME, [root / "images" / folder, root / ARCHIVE / "images" / folder])
    masks = find_folder(NAME, [images.parents[1] / "annotations" / folder])
    pairs = pair_by_stem(NAME, images, masks)
    label_set = load_label_set("ade20k")
    return PairFiles(pairs, label_set, name=f"{NAME} {split}", keep_decoded=keep_decoded)
