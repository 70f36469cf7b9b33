"""A copy with another temperature: the same tensors, byte for byte, and never a shipped file."""

import hashlib
import os
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.model.checkpoint import load_selftest, load_weights, save_weights
from proxia_segmentation_ros.model.lookup import find_weights
from proxia_segmentation_ros.model.network.hrnet_ocr import HRNetOcr
from proxia_segmentation_ros.model.weight_file import (
    check_content,
    check_copy,
    copy_with_temperature,
)


@pytest.fixture
def saved(tmp_path: Path, small_network: HRNetOcr, small_card: ModelCard) -> Path:
    path = tmp_path / "small.safetensors"
    card = small_card.model_copy(update={"terms": 'Bücher "quoted" 道路'})
    save_weights(path, small_network, card, selftest={"input": torch.arange(5)})
    return path


def read_tensor_bytes(path: Path) -> bytes:
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    return content[8 + length :]


def test_copy_differs_in_the_temperature_alone(saved: Path, tmp_path: Path) -> None:
    target = tmp_path / "deeper" / "copy.safetensors"
    card = copy_with_temperature(saved, target, 1.375)
    assert read_card(target) == card
    before = read_card(saved)
    assert before.temperature == 1.0
    assert card == before.model_copy(update={"temperature": 1.375})
    assert read_tensor_bytes(target) == read_tensor_bytes(saved)


def test_copy_loads_as_the_original_does(saved: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.safetensors"
    copy_with_temperature(saved, target, 0.5)
    network, card = load_weights(target)
    assert card.temperature == 0.5
    original = load_weights(saved)[0].state_dict()
    assert all(torch.equal(value, original[key]) for key, value in network.state_dict().items())
    assert torch.equal(load_selftest(target)["input"], torch.arange(5))
    stored = load_file(saved)
    assert all(value.dtype == stored[key].dtype for key, value in load_file(target).items())


@pytest.mark.parametrize("temperature", [2.0, 1.25, 1.375, 1.3333])
def test_tensors_stay_where_they_can_be_mapped_into_memory(
    saved: Path, tmp_path: Path, temperature: float
) -> None:
    target = tmp_path / "copy.safetensors"
    copy_with_temperature(saved, target, temperature)
    assert struct.unpack("<Q", target.read_bytes()[:8])[0] % 8 == 0


def test_reader_of_the_old_file_goes_on_reading_it(saved: Path) -> None:
    before = saved.read_bytes()
    with saved.open("rb") as reader:
        copy_with_temperature(saved, saved, 2.0)
        assert reader.read() == before


def test_own_file_may_be_replaced_by_its_copy(saved: Path) -> None:
    tensors = read_tensor_bytes(saved)
    copy_with_temperature(saved, saved, 2.0)
    assert read_card(saved).temperature == 2.0
    assert read_tensor_bytes(saved) == tensors


def test_failed_write_leaves_the_old_file_and_no_other(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(WeightsError, match="No space left on device"):
        copy_with_temperature(saved, saved, 2.0)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_shipped_files_and_their_folder_are_refused(saved: Path, tmp_path: Path) -> None:
    shipped = find_weights("default")
    before = shipped.stat().st_mtime_ns
    for target in (shipped, shipped.with_name("mine.safetensors")):
        with pytest.raises(WeightsError, match="the package ships"):
            copy_with_temperature(saved, target, 2.0)
    link = tmp_path / "link.safetensors"
    link.symlink_to(shipped)
    with pytest.raises(WeightsError, match="the package ships"):
        check_copy(saved, link)
    assert shipped.stat().st_mtime_ns == before
    assert not shipped.with_name("mine.safetensors").exists()


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_temperatures_are_refused(
    saved: Path, tmp_path: Path, temperature: float
) -> None:
    with pytest.raises(WeightsError, match="card"):
        copy_with_temperature(saved, tmp_path / "copy.safetensors", temperature)
    assert not (tmp_path / "copy.safetensors").exists()


def test_other_suffixes_are_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="another suffix"):
        copy_with_temperature(saved, tmp_path / "copy.pth", 2.0)
    foreign = tmp_path / "foreign.pth"
    foreign.write_bytes(b"")
    with pytest.raises(WeightsError, match="proxia convert"):
        copy_with_temperature(foreign, tmp_path / "copy.safetensors", 2.0)


def test_file_in_the_place_of_a_folder_is_named(saved: Path) -> None:
    with pytest.raises(WeightsError, match="can't be written"):
        copy_with_temperature(saved, saved / "copy.safetensors", 2.0)


def test_whole_file_passes_and_tells_its_hash(saved: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy_with_temperature(saved, copy, 0.5)
    for path in (saved, copy):
        assert check_content(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def spoil(path: Path, place: int, bit: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= bit
    path.write_bytes(content)


def test_every_changed_byte_of_the_tensors_is_noticed(saved: Path) -> None:
    whole = saved.read_bytes()
    start = len(whole) - len(read_tensor_bytes(saved))
    for place in range(start, len(whole), len(whole) // 50):
        spoil(saved, place)
        with pytest.raises(WeightsError, match="damaged"):
            check_content(saved)
        with pytest.raises(WeightsError, match="damaged"):
            load_weights(saved)
        saved.write_bytes(whole)
    check_content(saved)


def test_changed_card_is_noticed(saved: Path) -> None:
    content = saved.read_bytes()
    # A class by another name is a valid card, and silently another meaning of every label.
    saved.write_bytes(content.replace(b"tree", b"moss"))
    assert saved.read_bytes() != content
    with pytest.raises(WeightsError, match="damaged"):
        check_content(saved)


def test_damaged_file_is_not_copied_as_a_whole_one(saved: Path, tmp_path: Path) -> None:
    spoil(saved, -100)
    target = tmp_path / "copy.safetensors"
    with pytest.raises(WeightsError, match="damaged"):
        copy_with_temperature(saved, target, 0.5)
    assert not target.exists()


def test_file_of_another_program_has_no_hash_and_passes(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(3)}, path)
    assert check_content(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("content", [b"", b"12", b"\x05" + bytes(7) + b"[1,2]", b"\xff" * 64])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="can't be read"):
        check_content(path)
