"""A few pairs in place of a whole data set."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proxia_segmentation_ros.data.datasets.folder import ImageMaskFolder
from proxia_segmentation_ros.data.sampling.centroids import load_centroids, make_key
from proxia_segmentation_ros.data.sampling.limited_dataset import LimitedDataset
from proxia_segmentation_ros.labels import load_label_set


@pytest.fixture
def whole(tmp_path: Path) -> ImageMaskFolder:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for index in range(4):
        ids_HW = np.full((6, 8), index, np.uint8)
        Image.fromarray(ids_HW).save(tmp_path / "masks" / f"{index}.png")
        Image.fromarray(np.dstack([ids_HW] * 3)).save(tmp_path / "images" / f"{index}.png")
    return ImageMaskFolder(tmp_path / "images", tmp_path / "masks", load_label_set("camvid"))


def test_pairs_are_the_first_ones_in_their_order(whole: ImageMaskFolder) -> None:
    few = LimitedDataset(whole, 2)
    assert [int(labels_HW[0, 0]) for _, labels_HW in (few[0], few[1])] == [0, 1]
    assert len(few) == len(few.paths) == 2
    for read in (few.__getitem__, few.read_labels, few.list_label_files):
        with pytest.raises(IndexError):
            read(2)
    assert len(LimitedDataset(whole, 9)) == 4


def test_centroids_are_kept_apart_from_those_of_the_whole(
    whole: ImageMaskFolder, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    few = load_centroids(LimitedDataset(whole, 2), 100, folder=cache)
    assert sorted(set(few[:, 1])) == [0, 1]
    assert make_key(LimitedDataset(whole, 2), 100) != make_key(whole, 100)
    assert sorted(set(load_centroids(whole, 100, folder=cache)[:, 1])) == [0, 1, 2, 3]
    # All pairs are the whole data set: its table serves both.
    assert make_key(LimitedDataset(whole, 4), 100) == make_key(whole, 100)
