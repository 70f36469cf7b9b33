"""Label sets: ids, colours, and the mapping of source ids."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.labels import LabelSet, load_label_set

TWO: dict[str, Any] = {
    "name": "two",
    "source_ignore": [9],
    "classes": [
        {"id": 0, "name": "ground", "rgb": [1, 2, 3], "source_ids": [0, 4]},
        {"id": 1, "name": "rest", "rgb": [4, 5, 6], "source_ids": [7]},
    ],
}


def with_class(**changes: Any) -> dict[str, object]:
    """Return TWO with its second class changed."""
    return {**TWO, "classes": [TWO["classes"][0], TWO["classes"][1] | changes]}


def make_many(count: int) -> LabelSet:
    return LabelSet.from_dict(
        {
            "name": "many",
            "classes": [{"id": k, "name": f"c{k}", "rgb": [k % 256, 0, 0]} for k in range(count)],
        }
    )


def test_camvid_has_its_eleven_classes() -> None:
    camvid = load_label_set("camvid")
    assert len(camvid) == 11
    assert camvid.names[:4] == ("sky", "building", "pole", "road")
    assert camvid.palette[3].tolist() == [128, 64, 128]
    assert camvid.map_source(np.array([0, 10, 11])).tolist() == [0, 10, 255]


def test_every_shipped_label_set_loads() -> None:
    folder = Path(__file__).parents[1] / "proxia_segmentation_ros" / "label_sets"
    names = [path.stem for path in folder.glob("*.yaml")]
    assert "camvid" in names
    for name in names:
        label_set = load_label_set(name)
        assert label_set.name == name
        # ADE20K itself gives road and skyscraper one colour.
        shared = 1 if name == "ade20k" else 0
        assert (
            len({label_class.rgb for label_class in label_set.classes}) == len(label_set) - shared
        )


def test_cityscapes_maps_label_ids_to_its_nineteen_classes() -> None:
    cityscapes = load_label_set("cityscapes")
    label_ids = np.array([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33])
    assert cityscapes.map_source(label_ids).tolist() == list(range(19))
    unmapped_ids = np.setdiff1d(np.arange(256), label_ids)
    assert set(cityscapes.map_source(unmapped_ids).tolist()) == {255}
    assert (cityscapes.names[0], cityscapes.names[18]) == ("road", "bicycle")
    assert cityscapes.palette[[0, 18, 255]].tolist() == [[128, 64, 128], [119, 11, 32], [0, 0, 0]]


def test_mapillary_has_65_classes_and_ignores_its_66th() -> None:
    mapillary = load_label_set("mapillary")
    assert mapillary.map_source(np.arange(67)).tolist() == [*range(65), 255, 255]
    assert (mapillary.names[0], mapillary.names[64]) == ("bird", "ego_vehicle")


def test_ade20k_masks_count_from_one() -> None:
    ade20k = load_label_set("ade20k")
    assert len(ade20k) == 150
    assert ade20k.map_source(np.array([0, 1, 150, 151])).tolist() == [255, 0, 149, 255]
    assert (ade20k.names[0], ade20k.names[149]) == ("wall", "flag")
    assert ade20k.palette[[0, 149]].tolist() == [[120, 120, 120], [92, 0, 255]]


def test_source_ids_map_to_classes_and_all_others_to_unlabeled() -> None:
    mask_HW = np.array([[0, 4, 7], [9, 8, 255]], np.uint8)
    mapped_HW = LabelSet.from_dict(TWO).map_source(mask_HW)
    assert mapped_HW.dtype == np.uint8
    assert mapped_HW.tolist() == [[0, 0, 1], [255, 255, 255]]


def test_classes_without_source_ids_mean_themselves() -> None:
    raw = {"name": "one", "classes": [{"id": 0, "name": "all", "rgb": [0, 0, 0]}]}
    assert LabelSet.from_dict(raw).map_source(np.array([0, 1], np.uint16)).tolist() == [0, 255]


@pytest.mark.parametrize(
    ("count", "dtype", "unlabeled_id"),
    [(1, np.uint8, 255), (255, np.uint8, 255), (256, np.uint16, 65535), (300, np.uint16, 65535)],
)
def test_pixel_type_grows_with_the_classes(
    count: int, dtype: type[np.generic], unlabeled_id: int
) -> None:
    label_set = make_many(count)
    assert label_set.label_dtype is dtype
    assert label_set.unlabeled_id == unlabeled_id
    assert label_set.palette.shape == (unlabeled_id + 1, 3)
    assert label_set.palette[unlabeled_id].tolist() == [0, 0, 0]


def test_dictionary_of_a_card_gives_the_same_classes() -> None:
    label_set = LabelSet.from_dict(TWO)
    assert LabelSet.from_dict(label_set.to_dict()) == label_set


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (with_class(id=2), "[0, 2]"),
        (with_class(id=0), "[0, 0]"),
        (with_class(name="ground"), "'ground' twice"),
        (with_class(rgb=[0, 0, 256]), "[0, 0, 256]"),
        (with_class(rgb=[0, 0]), "can't be read"),
        (with_class(rgb="red"), "can't be read"),
        (with_class(source_ids=None), "can't be read"),
        (with_class(source_ids=[-1]), "-1"),
        (with_class(source_ids=[70000]), "70000"),
        (with_class(source_ids=[4]), "source id 4 to 'ground' and to 'rest'"),
        (with_class(source_ids=[9]), "source id 9 to source_ignore and to 'rest'"),
        (with_class(source_ids=[]), "source_ids of 'rest' is empty"),
        (with_class(source_ids="78"), "'7' is no whole number"),
        (with_class(source_ids=[7.0]), "7.0 is no whole number"),
        (with_class(rgb=[0.5, 0.4, 0.3]), "0.5 is no whole number"),
        (with_class(rgb=["1", "2", "3"]), "'1' is no whole number"),
        (with_class(id=True), "True is no whole number"),
        (with_class(name=False), "name is False, write it in quotes"),
        (with_class(name=2), "name is 2, write it in quotes"),
        (with_class(name=" "), "name is ' '"),
        (with_class(source_id=[8]), "key 'source_id' is unknown"),
        (TWO | {"ignore": [8]}, "key 'ignore' is unknown"),
        (TWO | {"name": True}, "name is True"),
        (TWO | {"source_ignore": [True]}, "True is no whole number"),
        (TWO | {"source_ignore": [-1]}, "-1"),
        ({"name": "none", "classes": []}, "[]"),
        ({"classes": TWO["classes"]}, "'name'"),
        ({}, "can't be read"),
    ],
)
def test_wrong_label_set_is_refused_by_its_own_value(raw: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LabelSet.from_dict(raw)
    assert named in str(caught.value)
    assert "; expected " in str(caught.value)


def test_id_of_a_class_without_source_ids_is_a_source_id_too() -> None:
    """Class 0 claims 1, which class 1 means without saying so."""
    classes = [
        {"id": 0, "name": "ground", "rgb": [1, 2, 3], "source_ids": [0, 1]},
        {"id": 1, "name": "rest", "rgb": [4, 5, 6]},
    ]
    with pytest.raises(ConfigError, match=r"source id 1 to 'ground' and to 'rest', as its id"):
        LabelSet.from_dict({"name": "two", "classes": classes})
    with pytest.raises(ConfigError, match=r"source id 1 to source_ignore and to 'rest', as its id"):
        LabelSet.from_dict(
            {"name": "two", "source_ignore": [1], "classes": [TWO["classes"][0], classes[1]]}
        )


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("- {id: 0, name: all, rgb: [9, 9, 9], source_ids: [1], source_ids: [2]}", "'source_ids'"),
        ("- {id: 0, name: no, rgb: [9, 9, 9]}", "name is False"),
    ],
)
def test_yaml_that_means_something_else_is_refused(tmp_path: Path, line: str, named: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nclasses:\n{line}\n")
    with pytest.raises(ConfigError, match=named):
        load_label_set(path)


def test_merged_keys_may_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nclasses:\n- &first {id: 0, name: all, rgb: [9, 9, 9]}\n"
        "- {<<: *first, id: 1, name: rest}\n"
    )
    assert load_label_set(path).names == ("all", "rest")


def test_file_of_the_user_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nclasses:\n- {id: 0, name: all, rgb: [9, 9, 9]}\n")
    assert load_label_set(path).names == ("all",)


@pytest.mark.parametrize(
    ("text", "named"), [("classes: [", "is not YAML"), ("- a\n", "can't be read"), ("", "can't be")]
)
def test_broken_file_is_refused(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "broken.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=named):
        load_label_set(path)


def test_unknown_name_and_missing_file_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"one of .*camvid"):
        load_label_set("camvit")
    with pytest.raises(ConfigError, match="does not exist"):
        load_label_set(tmp_path / "none.yaml")


def test_everyday_has_31_classes_in_the_order_of_its_specification(shared_dir: Path) -> None:
    everyday = load_label_set("everyday")
    wanted = yaml.safe_load((shared_dir / "spec" / "everyday.yaml").read_text())
    assert everyday.names == tuple(wanted)
    assert len({entry.rgb for entry in everyday.classes}) == 31
    assert everyday.map_source(np.array([0, 30, 31, 255])).tolist() == [0, 30, 255, 255]
