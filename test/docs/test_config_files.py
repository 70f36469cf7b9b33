"""The files in config/ hold what the code holds."""

import re
from typing import Any

import pytest
import yaml
from tables import ROOT, describe_range, list_rows

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.labels import load_label_set

CONFIG = ROOT / "config"
TYPELESS_IN_YAML = "inference.scales"  # ROS reads no type from an empty list


def _read_node_parameters(name: str, node_name: str) -> dict[str, object]:
    tree = yaml.safe_load((CONFIG / name).read_text())[node_name]["ros__parameters"]
    return dict(_flatten(tree, ""))


def _flatten(tree: dict, prefix: str):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _read_comments() -> dict[str, str]:
    """Return the comment of each parameter line of proxia.yaml by the parameter's full name."""
    comments: dict[str, str] = {}
    parents: list[Any] = []
    for line in (CONFIG / "proxia.yaml").read_text().splitlines():
        found = re.fullmatch(r"( +)(?:# )?(\w+):(?: [^#]*# (.*))?", line)
        if found is None:
            continue
        depth = len(found[1]) // 2 - 2
        parents = [*parents[:depth], found[2]]
        if found[3] is not None:
            comments[".".join(parents)] = found[3]
    return comments


def test_proxia_yaml_holds_every_parameter_at_its_default() -> None:
    expected = {row.name: row.default for row in list_rows() if row.name != TYPELESS_IN_YAML}
    written = _read_node_parameters("proxia.yaml", "/**")
    assert written == expected
    assert {name: type(value) for name, value in written.items()} == {
        name: type(value) for name, value in expected.items()
    }


def test_proxia_yaml_says_change_and_range_of_every_parameter() -> None:
    comments = _read_comments()
    assert set(comments) == {row.name for row in list_rows()}
    for row in list_rows():
        change, _, rest = comments[row.name].partition("; ")
        assert change == row.change, row.name
        assert describe_range(row) in rest, row.name


@pytest.mark.parametrize(
    ("name", "node_name"), [("two_cameras.yaml", "/**"), ("nav2.yaml", "proxia")]
)
def test_example_files_are_valid_settings(name: str, node_name: str) -> None:
    settings = NodeSettings.from_flat(_read_node_parameters(name, node_name))
    assert set(settings.cameras) == set(settings.camera_names)
    topics = {settings.camera(camera).image_topic for camera in settings.camera_names}
    assert len(topics) == len(settings.camera_names)


def test_nav2_layer_knows_every_class_once() -> None:
    tree = yaml.safe_load((CONFIG / "nav2.yaml").read_text())
    layer = tree["local_costmap"]["local_costmap"]["ros__parameters"]["semantic_segmentation_layer"]
    source = layer[layer["observation_sources"]]
    named = [name for kind in source["class_types"] for name in source[kind]["classes"]]
    assert sorted(named) == sorted(one.name for one in load_label_set("camvid").classes)


def test_rviz_shows_image_overlay_and_colours() -> None:
    tree = yaml.safe_load((CONFIG / "proxia.rviz").read_text())
    displays = tree["Visualization Manager"]["Displays"]
    topics = {one["Topic"]["Value"]: one["Topic"]["Reliability Policy"] for one in displays}
    assert topics == {
        "/image": "Best Effort",
        "/proxia/overlay": "Reliable",
        "/proxia/colored": "Reliable",
    }
    assert {one["Class"] for one in displays} == {"rviz_default_plugins/Image"}
