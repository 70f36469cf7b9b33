"""Pairs of image and mask files."""

from pathlib import Path

from one_coloured_pairs import write_pairs

from proxia_segmentation_ros.data.datasets.catalogue import open_dataset


def test_kept_pairs_are_decoded_once(tmp_path: Path) -> None:
    write_pairs(tmp_path / "train", tmp_path / "trainannot", [0])
    dataset = open_dataset("camvid", tmp_path, "train", keep_decoded=True)
    assert dataset[0][0] is dataset[0][0]
