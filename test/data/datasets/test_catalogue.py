"""Data sets by name, and CamVid and any folder among them."""

import inspect
import re
from pathlib import Path

import pytest
from one_coloured_pairs import list_labels, write_pairs

from proxia_segmentation_ros.data.datasets.catalogue import OPENERS, open_dataset
from proxia_segmentation_ros.errors import ConfigError, InputError


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_camvid_is_read_as_segnet_arranges_it(tmp_path: Path, split: str) -> None:
    write_pairs(tmp_path / split, tmp_path / f"{split}annot", [0, 10, 11], "png")
    assert list_labels("camvid", tmp_path, split) == [0, 10, 255]


def test_camvid_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match="trainannot"):
        open_dataset("camvid", tmp_path, "train")


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
