"""Mapillary Vistas in the layouts of its releases."""

from pathlib import Path

import pytest
from one_coloured_pairs import list_labels, write_mapillary

from proxia_segmentation_ros.data.datasets.catalogue import open_dataset
from proxia_segmentation_ros.data.datasets.mapillary import make_name
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import load_label_set


@pytest.mark.parametrize("release", ["1.2", "2.0"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_mapillary_takes_its_classes_from_its_config(
    tmp_path: Path, split: str, release: str
) -> None:
    root = write_mapillary(tmp_path / "vistas", release=release)
    assert list_labels("mapillary", root, split) == [0, 64, 255]
    label_set = open_dataset("mapillary", root, split).label_set
    assert label_set.names == load_label_set("mapillary").names
    assert label_set.palette[64].tolist() == [64, 0, 1]


@pytest.mark.parametrize(
    ("readable", "name"),
    [
        ("Crosswalk - Plain", "crosswalk_plain"),
        ("Traffic Sign (Back)", "traffic_sign_back"),
        ("CCTV Camera", "cctv_camera"),
    ],
)
def test_readable_names_become_the_shipped_ones(readable: str, name: str) -> None:
    assert make_name(readable) == name
    assert name in load_label_set("mapillary").names


@pytest.mark.parametrize(
    ("removed", "named"),
    [
        ("config.json", r"file '.*config\.json' does not exist.*config_v1\.2\.json"),
        ("training/images", r"training/images' does not exist"),
        ("training/labels", r"training/labels'.*training/v1\.2/labels'"),
        ("training/labels/frame_2.png", r"1 of 3 images have no mask.*frame_2\.png"),
    ],
)
def test_mapillary_names_what_is_missing(tmp_path: Path, removed: str, named: str) -> None:
    root = write_mapillary(tmp_path / "vistas")
    (root / removed).rename(tmp_path / "away")
    with pytest.raises(InputError, match=named):
        open_dataset("mapillary", root, "train")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "can't be read"),
        ("[]", "can't be read"),
        ('{"labels": [{"readable": "Bird"}]}', "'color'"),
        ('{"labels": [{"readable": "Bird", "color": [1, 2, 3]}]}', "names 1 classes"),
    ],
)
def test_config_of_something_else_is_refused(tmp_path: Path, text: str, named: str) -> None:
    root = write_mapillary(tmp_path / "vistas")
    (root / "config.json").write_text(text)
    with pytest.raises(InputError, match=named):
        open_dataset("mapillary", root, "train")
