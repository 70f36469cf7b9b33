"""Data sets by name: CamVid, ADE20K, Mapillary Vistas and any folder."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.data.datasets.catalogue import OPENERS, open_dataset
from proxia_segmentation_ros.data.datasets.mapillary import make_name
from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.labels import load_label_set

SIZE_HW = (6, 9)


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def write_pairs(images: Path, masks: Path, ids: list[int], suffix: str = "jpg") -> None:
    """Write a pair for each id whose mask holds that id alone."""
    for number, one in enumerate(ids):
        write(images / f"frame_{number}.{suffix}", np.zeros((*SIZE_HW, 3), np.uint8))
        write(masks / f"frame_{number}.png", np.full(SIZE_HW, one, np.uint8))


def write_mapillary(root: Path, *, release: str = "1.2") -> Path:
    mapillary = load_label_set("mapillary")
    labels = [
        {"readable": one.name.replace("_", " ").title(), "color": [one.id, 0, 1]}
        for one in mapillary.classes
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


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_camvid_is_read_as_segnet_arranges_it(tmp_path: Path, split: str) -> None:
    write_pairs(tmp_path / split, tmp_path / f"{split}annot", [0, 10, 11], "png")
    assert list_labels("camvid", tmp_path, split) == [0, 10, 255]


def test_camvid_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match="trainannot"):
        open_dataset("camvid", tmp_path, "train")


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


def test_folder_of_the_user_is_read_with_its_own_label_set(tmp_path: Path) -> None:
    write_pairs(tmp_path / "photos" / "a", tmp_path / "ids" / "a", [3, 4, 9])
    own = tmp_path / "own.yaml"
    own.write_text(
        "name: own\nclasses:\n"
        "- {id: 0, name: lawn, rgb: [0, 9, 0], source_ids: [3]}\n"
        "- {id: 1, name: path, rgb: [9, 9, 9], source_ids: [4]}\n"
    )
    options = {"images": "photos/{split}", "masks": "ids/{split}", "label_set": str(own)}
    assert list_labels("folder", tmp_path, "a", **options) == [0, 1, 255]


def test_kept_pairs_are_decoded_once(tmp_path: Path) -> None:
    write_pairs(tmp_path / "train", tmp_path / "trainannot", [0])
    dataset = open_dataset("camvid", tmp_path, "train", keep_decoded=True)
    assert dataset[0][0] is dataset[0][0]


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("kitti", {}, r"'kitti'.*ade20k, camvid, cityscapes"),
        ("camvid", {"cross_validation": 1}, r"no option 'cross_validation'.*keep_decoded"),
        ("camvid", {"keep_decoded": "perhaps"}, "keep_decoded of data set camvid is 'perhaps'"),
        ("folder", {}, "given no label_set"),
    ],
)
def test_wrong_request_is_refused(
    tmp_path: Path, name: str, options: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        open_dataset(name, tmp_path, "train", **options)


@pytest.mark.parametrize("name", sorted(set(OPENERS) - {"folder"}))
def test_unknown_split_says_which_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"split of data set {name} is 'nowhere'.*'train"):
        open_dataset(name, tmp_path, "nowhere")


def test_document_names_every_data_set_and_option() -> None:
    document = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text()
    rows = [line.split("|")[1] for line in document.splitlines() if line.startswith("| `")]
    documented = set(re.findall(r"`(\w+)`", " ".join(rows)))
    options = {
        option for opener in OPENERS.values() for option in inspect.signature(opener).parameters
    }
    assert documented == {*OPENERS, *options} - {"root", "split"}
