"""The messages hold what docs/interfaces.md promises."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from vision_msgs.msg import LabelInfo, VisionClass
from workspace import ROOT

from proxia_segmentation_ros.msg import ClassSummary, ObjectSummary, SceneSummary, StreamStats

HEADER = {"header": "std_msgs/Header", "camera": "string"}
FIELDS = {
    SceneSummary: HEADER
    | {
        "label_set": "string",
        "image_width": "uint32",
        "image_height": "uint32",
        "unlabeled_fraction": "float",
        "classes": "sequence<proxia_segmentation_ros/ClassSummary>",
    },
    ClassSummary: {
        "class_id": "uint16",
        "class_name": "string",
        "pixel_count": "uint32",
        "area_fraction": "float",
        "mean_confidence": "float",
        "objects": "sequence<proxia_segmentation_ros/ObjectSummary>",
    },
    ObjectSummary: {
        "track_id": "uint32",
        "pixel_count": "uint32",
        "box": "sensor_msgs/RegionOfInterest",
        "centroid_x": "float",
        "centroid_y": "float",
        "mean_confidence": "float",
        "touches_border": "boolean",
        "depth_m": "float",
        "position": "geometry_msgs/Point",
    },
    StreamStats: HEADER
    | {
        "received": "uint64",
        "labelled": "uint64",
        "dropped_replaced": "uint64",
        "dropped_stale": "uint64",
        "dropped_undecodable": "uint64",
        "dropped_refused": "uint64",
        "dropped_paused": "uint64",
        "dropped_failed": "uint64",
        "rate_hz": "float",
        "latency_ms": "float[3]",
        "age_ms": "float[3]",
        "inference_ms": "float",
        "backend": "string",
        "precision": "string",
        "tiles_run": "uint16",
        "tiles_total": "uint16",
    },
}
# Made by building the messages of ros-perception/vision_msgs 4.1.1 themselves.
VISION_TYPE_HASHES = {
    "LabelInfo": "RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783",
    "VisionClass": "RIHS01_1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a",
}


@pytest.mark.parametrize("message", FIELDS, ids=lambda message: message.__name__)
def test_fields_are_those_of_the_contract(message: Any) -> None:
    assert message.get_fields_and_field_types() == FIELDS[message]


@pytest.mark.parametrize("path", sorted((ROOT / "msg").glob("*.msg")), ids=lambda path: path.stem)
def test_every_field_is_explained(path: Path) -> None:
    explained = False
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            explained = True
        elif not line:
            explained = False
        else:
            assert explained, f"{path.name}: nothing stands above {line!r}"


@pytest.mark.parametrize("name", VISION_TYPE_HASHES)
def test_vision_msgs_has_the_type_hashes_of_the_real_one(name: str) -> None:
    prefixes = os.environ["AMENT_PREFIX_PATH"].split(os.pathsep)
    files = [Path(prefix, "share/vision_msgs/msg", f"{name}.json") for prefix in prefixes]
    (description,) = [json.loads(path.read_text()) for path in files if path.is_file()]
    hashes = {each["type_name"]: each["hash_string"] for each in description["type_hashes"]}
    assert hashes[f"vision_msgs/msg/{name}"] == VISION_TYPE_HASHES[name]


def test_vision_msgs_has_the_fields_of_the_real_one() -> None:
    assert LabelInfo.get_fields_and_field_types() == {
        "header": "std_msgs/Header",
        "class_map": "sequence<vision_msgs/VisionClass>",
        "threshold": "float",
    }
    assert VisionClass.get_fields_and_field_types() == {
        "class_id": "uint16",
        "class_name": "string",
    }
