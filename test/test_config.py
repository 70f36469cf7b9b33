"""Settings: ranges, sentences, and the table of parameters."""

import math

import pytest
from pydantic import ValidationError

from proxia_segmentation_ros.config import (
    CameraSettings,
    NodeSettings,
    list_parameters,
    parse_size,
)
from proxia_segmentation_ros.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "size_hw"),
    [
        ("480x360", (360, 480)),
        ("1x2", (2, 1)),
        ("0x5", None),
        ("480 x 360", None),
        ("480X360", None),
        ("-1x5", None),
        ("123456x5", None),
        ("input", None),
        ("", None),
        ("٣x٣", None),
    ],
)
def test_size_is_read_as_width_by_height(text: str, size_hw: tuple[int, int] | None) -> None:
    assert parse_size(text) == size_hw


def test_defaults_are_valid_and_those_of_the_contract() -> None:
    settings = NodeSettings()
    assert NodeSettings.from_flat({}) == settings
    assert settings.model.weights == "default"
    assert settings.inference.max_input_pixels == 33_177_600
    assert settings.objects.min_area_px == 64
    assert settings.overlay.alpha == 0.5
    assert settings.camera("camera") == CameraSettings()


def test_dotted_names_reach_their_settings() -> None:
    settings = NodeSettings.from_flat(
        {
            "inference.size": "640x480",
            "output.min_confidence": 0.4,
            "camera_names": ["left", "right"],
            "cameras.left.image_topic": "/left/image",
        }
    )
    assert settings.inference.size == "640x480"
    assert settings.output.min_confidence == 0.4
    assert settings.camera("left").image_topic == "/left/image"
    assert settings.camera("right").image_topic == "image"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.weights", ""),
        ("inference.backend", "abacus"),
        ("inference.precision", "f64"),
        ("inference.size", "15x100"),
        ("inference.size", "network"),
        ("inference.scales", [0.5]),
        ("inference.scales", [1.0, 5.0]),
        ("inference.threads", -1),
        ("inference.threads", 257),
        ("inference.threads", 1.5),
        ("inference.threads", True),
        ("inference.max_input_pixels", 65_535),
        ("inference.max_rate_hz", math.nan),
        ("inference.max_rate_hz", math.inf),
        ("output.size", "card"),
        ("output.size", "100x8"),
        ("output.size", "60000x60000"),
        ("inference.size", "8192x8192"),
        ("output.min_confidence", 1.01),
        ("objects.enabled", 1),
        ("objects.min_area_px", 0),
        ("overlay.alpha", -0.1),
        ("overlay.max_width", 15),
        ("camera_names", []),
        ("camera_names", ["front camera"]),
        ("camera_names", ["1st"]),
        ("camera_names", ["a", "a"]),
        ("cameras.camera.transport", "theora"),
        ("cameras.camera.image_topic", ""),
    ],
)
def test_value_out_of_range_is_refused_with_name_value_rule_and_remedy(
    name: str, value: object
) -> None:
    with pytest.raises(ConfigError) as caught:
        NodeSettings.from_flat({name: value})
    sentence = str(caught.value)
    assert name.split(".")[-1] in sentence
    assert "; expected " in sentence
    assert "; set it " in sentence


@pytest.mark.parametrize(
    "values",
    [
        {"inference.sise": "card"},
        {"cameras.left.topic": "x"},
        {"nothing": 1},
        {"model": "default"},
        {"autostart.now": True},
        {"model.weights.deep": 1},
        {"model.weights": "default", "model.weights.deep": 1},
        {"model.weights.deep": 1, "model.weights": "default"},
    ],
)
def test_unknown_name_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        NodeSettings.from_flat(values)


def test_every_problem_of_a_set_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        NodeSettings.from_flat({"overlay.alpha": 2.0, "objects.min_area_px": 0})
    assert "overlay.alpha" in str(caught.value)
    assert "objects.min_area_px" in str(caught.value)


def test_settings_can_not_be_changed_in_place() -> None:
    with pytest.raises(ValidationError):
        NodeSettings().overlay.alpha = 0.1


def test_table_has_every_parameter_with_its_range_and_sentence() -> None:
    rows = {row.name: row for row in list_parameters(["left"])}
    assert "cameras.left.transport" in rows
    assert "cameras" not in rows
    assert rows["overlay.alpha"].minimum == 0
    assert rows["overlay.alpha"].maximum == 1
    assert rows["overlay.alpha"].change == "live"
    assert rows["inference.backend"].choices == ("auto", "openvino", "tensorrt", "torch")
    assert rows["inference.size"].minimum is None
    for row in rows.values():
        assert row.description
        assert row.default is not None
    flat = {name: row.default for name, row in rows.items() if not name.startswith("cameras.")}
    assert NodeSettings.from_flat(flat) == NodeSettings()
