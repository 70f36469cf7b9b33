"""ADE20K in the layout that it is published in."""

from pathlib import Path

import pytest
from one_coloured_pairs import list_labels, write_pairs

from proxia_segmentation_ros.data.datasets.catalogue import open_dataset
from proxia_segmentation_ros.errors import InputError


@pytest.mark.parametrize("archive", ["", "ADEChallengeData2016"])
@pytest.mark.parametrize(("split", "folder"), [("train", "training"), ("val", "validation")])
def test_ade20k_counts_from_one(tmp_path: Path, archive: str, split: str, folder: str) -> None:
    root = tmp_path / archive
    write_pairs(root / "images" / folder, root / "annotations" / folder, [0, 1, 150])
    assert list_labels("ade20k", tmp_path, split) == [255, 0, 149]
    assert len(open_dataset("ade20k", tmp_path, split).label_set) == 150


@pytest.mark.parametrize(
    ("removed", "named"),
    [
        ("images", r"images/training'.*ADEChallengeData2016/images/training'"),
        ("annotations", r"annotations/training' does not exist"),
        ("annotations/training/frame_1.png", r"1 of 2 images have no mask.*frame_1\.png"),
    ],
)
def test_ade20k_names_what_is_missing(tmp_path: Path, removed: str, named: str) -> None:
    write_pairs(tmp_path / "images/training", tmp_path / "annotations/training", [1, 2])
    (tmp_path / removed).rename(tmp_path / "away")
    with pytest.raises(InputError, match=named):
        open_dataset("ade20k", tmp_path, "train")


def test_two_images_of_one_mask_are_refused(tmp_path: Path) -> None:
    for suffix in ("jpg", "png"):
        write_pairs(tmp_path / "images/training", tmp_path / "annotations/training", [1], suffix)
    with pytest.raises(InputError, match=r"'frame_0\.jpg' and 'frame_0\.png' in .* have one name"):
        open_dataset("ade20k", tmp_path, "train")
