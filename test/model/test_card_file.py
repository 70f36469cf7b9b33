"""The card is read from a weight file's header alone."""

import json
import struct
from pathlib import Path

import pytest

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.card_file import read_card, read_metadata


def write_header(path: Path, header: bytes, length: int | None = None) -> Path:
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header)
    return path


def test_card_is_read_without_the_tensors(tmp_path: Path, small_card: ModelCard) -> None:
    header = {"__metadata__": {"card": small_card.to_json()}, "weight": {"data_offsets": [0, 99]}}
    path = write_header(tmp_path / "a.safetensors", json.dumps(header).encode())
    assert read_card(path) == small_card


def test_file_without_metadata_has_none(tmp_path: Path) -> None:
    path = write_header(tmp_path / "a.safetensors", b"{}")
    assert read_metadata(path) == {}
    with pytest.raises(WeightsError, match="has no metadata 'card'"):
        read_card(path)


@pytest.mark.parametrize("content", [b"", b"abc", b"[1]", b'{"__metadata__": 3}', b"\xff\xfe"])
def test_what_is_no_header_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = write_header(tmp_path / "a.safetensors", content)
    with pytest.raises(WeightsError, match="can't be read"):
        read_metadata(path)


def test_absurd_length_allocates_nothing(tmp_path: Path) -> None:
    path = write_header(tmp_path / "a.safetensors", b"{}", length=2**63)
    assert read_metadata(path) == {}


def test_cut_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"1234")
    with pytest.raises(WeightsError, match="can't be read"):
        read_metadata(path)
