"""What is nested too deeply is an error like any other, for every reader of foreign text."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxia_segmentation_ros.backends.compiled_cache import CompiledCache, read_key
from proxia_segmentation_ros.errors import ConfigError, InputError, ProxiaError, WeightsError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.parsing import parse_json, parse_yaml

DEEP = "[" * 100_000
KEY: dict[str, Any] = {"backend": "openvino", "format": 1}


def test_parsers_refuse_deep_nesting_as_their_usual_error() -> None:
    assert parse_json('{"a": [1]}') == {"a": [1]}
    assert parse_yaml("a: [1]") == {"a": [1]}
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(DEEP)
    with pytest.raises(yaml.YAMLError):
        parse_yaml(DEEP)


def read_deep_weights(folder: Path) -> None:
    path = folder / "deep.safetensors"
    path.write_bytes(struct.pack("<Q", len(DEEP)) + DEEP.encode())
    read_card(path)


def read_deep_labels(folder: Path) -> None:
    path = folder / "deep.yaml"
    path.write_text(DEEP)
    load_label_set(path)


def read_deep_vistas(folder: Path) -> None:
    from proxia_segmentation_ros.data.datasets.mapillary import read_config

    (folder / "config.json").write_text(DEEP)
    read_config(folder / "config.json")


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (read_deep_weights, WeightsError),
        (read_deep_labels, ConfigError),
        (read_deep_vistas, InputError),
    ],
)
def test_readers_refuse_deep_nesting_in_a_sentence(
    tmp_path: Path, read: Callable[[Path], None], kind: type[ProxiaError]
) -> None:
    with pytest.raises(kind, match="expected"):
        read(tmp_path)


def test_foreign_file_in_the_cache_costs_nothing(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path)
    (tmp_path / "foreign.json").write_text(DEEP)
    assert read_key(tmp_path / "foreign.json") is None
    assert cache.load(KEY) is None
    cache.store(KEY, b"blob")
    assert cache.load(KEY) == b"blob"
    (sidecar,) = (path for path in tmp_path.glob("*.json") if path.name != "foreign.json")
    sidecar.write_text(DEEP)
    assert cache.load(KEY) is None
