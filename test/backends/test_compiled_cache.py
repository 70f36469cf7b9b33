"""The cache of compiled networks: right, or rebuilt; never in the way."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_network import draw_image

from proxia_segmentation_ros.backends.compiled_cache import (
    CompiledCache,
    find_cache_folder,
)
from proxia_segmentation_ros.backends.graph import openvino_convert
from proxia_segmentation_ros.inference import Segmenter

KEY: dict[str, Any] = {
    "weights": "abc",
    "network_hw": [96, 128],
    "threads": 0,
    "scales": [0.5, 1.0],
}
BLOB = bytes(range(256)) * 10


def find_one(folder: Path, suffix: str) -> Path:
    (path,) = folder.glob(f"*{suffix}")
    return path


def test_stored_blob_comes_back(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path / "deep" / "cache")
    assert cache.load(KEY) is None
    cache.store(KEY, BLOB)
    assert cache.load(KEY) == BLOB
    assert CompiledCache(cache.folder).load(dict(reversed(list(KEY.items())))) == BLOB
    assert sorted(path.suffix for path in cache.folder.iterdir()) == [".blob", ".json"]


@pytest.mark.parametrize("name", ["weights", "network_hw", "threads", "scales"])
def test_each_part_of_the_key_counts(tmp_path: Path, name: str) -> None:
    cache = CompiledCache(tmp_path)
    cache.store(KEY, BLOB)
    assert cache.load({**KEY, name: "other"}) is None


def spoil_blob(folder: Path) -> None:
    find_one(folder, ".blob").write_bytes(BLOB[:-1] + b"x")


def cut_blob(folder: Path) -> None:
    find_one(folder, ".blob").write_bytes(BLOB[:100])


def spoil_key(folder: Path) -> None:
    path = find_one(folder, ".json")
    sidecar = json.loads(path.read_text())
    sidecar["key"]["weights"] = "other"
    path.write_text(json.dumps(sidecar))


def cut_sidecar(folder: Path) -> None:
    path = find_one(folder, ".json")
    path.write_text(path.read_text()[:20])


def replace_sidecar(folder: Path) -> None:
    find_one(folder, ".json").write_text("[]")


@pytest.mark.parametrize("spoil", [spoil_blob, cut_blob, spoil_key, cut_sidecar, replace_sidecar])
def test_entry_that_does_not_verify_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: object
) -> None:
    cache = CompiledCache(tmp_path)
    cache.store(KEY, BLOB)
    spoil(tmp_path)  # type: ignore[operator]
    assert cache.load(KEY) is None
    assert "building anew" in caplog.text
    cache.store(KEY, BLOB)
    assert cache.load(KEY) == BLOB


def test_lost_blob_is_just_a_miss(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path)
    cache.store(KEY, BLOB)
    find_one(tmp_path, ".blob").unlink()
    assert cache.load(KEY) is None


def test_folder_that_can_not_be_written_warns_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    cache = CompiledCache(blocker / "cache")
    cache.store(KEY, BLOB)
    cache.store(KEY, BLOB)
    assert cache.load(KEY) is None
    assert caplog.text.count("PROXIA_CACHE_DIR") == 1


def test_dropped_entry_is_gone(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path)
    cache.store(KEY, BLOB)
    cache.drop(KEY)
    cache.drop(KEY)
    assert not list(tmp_path.iterdir())


def test_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROXIA_CACHE_DIR", str(tmp_path / "own"))
    assert find_cache_folder("openvino") == tmp_path / "own"
    monkeypatch.setenv("PROXIA_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_cache_folder("openvino") == tmp_path / "proxia_segmentation_ros" / "openvino"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_cache_folder("openvino") == (
        tmp_path / ".cache" / "proxia_segmentation_ros" / "openvino"
    )


@pytest.fixture
def count_conversions(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list that grows with every network converted from torch."""
    done: list[object] = []
    real = openvino_convert.convert_network

    def convert(*network: Any) -> Any:
        done.append(network)
        return real(*network)

    monkeypatch.setattr(openvino_convert, "convert_network", convert)
    return done


def label(weights: Path, folder: Path, **options: Any) -> np.ndarray:
    segmenter = Segmenter.from_weights(weights, backend="openvino", cache_dir=folder, **options)
    return segmenter.segment(draw_image(48, 64)).labels


def test_second_start_takes_the_network_from_the_cache(
    tiny_weights: Path,
    tmp_path: Path,
    count_conversions: list[object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    first = label(tiny_weights, tmp_path)
    second = label(tiny_weights, tmp_path)
    np.testing.assert_array_equal(first, second)
    assert len(count_conversions) == 1
    assert "compiled anew" in caplog.text
    assert "from the cache" in caplog.text


def test_other_threads_and_other_weights_are_other_entries(
    tiny_weights: Path, tmp_path: Path, count_conversions: list[object]
) -> None:
    label(tiny_weights, tmp_path)
    label(tiny_weights, tmp_path, threads=1)
    assert len(count_conversions) == 2


def test_corrupt_and_foreign_blobs_are_rebuilt(
    tiny_weights: Path,
    tmp_path: Path,
    count_conversions: list[object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = label(tiny_weights, tmp_path)
    blob = find_one(tmp_path, ".blob")
    whole = blob.read_bytes()
    blob.write_bytes(whole[: len(whole) // 2])
    np.testing.assert_array_equal(label(tiny_weights, tmp_path), first)
    assert "is corrupt" in caplog.text
    # Verifies, but OpenVINO can't read it.
    sidecar = json.loads(find_one(tmp_path, ".json").read_text())
    CompiledCache(tmp_path).store(sidecar["key"], b"no network at all")
    np.testing.assert_array_equal(label(tiny_weights, tmp_path), first)
    assert "OpenVINO refuses" in caplog.text
    assert len(count_conversions) == 3
    # OpenVINO's blobs of one network differ a little in size.
    assert blob.stat().st_size > 0.9 * len(whole)


def test_folder_that_cannot_be_made_costs_one_warning(
    tiny_weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "cache"
    first = label(tiny_weights, folder)
    np.testing.assert_array_equal(label(tiny_weights, folder), first)
    assert str(folder) in caplog.text


def test_user_without_home_gets_a_folder_of_his_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("no home")

    for name in ("PROXIA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", fail)
    folder = find_cache_folder("openvino")
    assert folder.stat().st_mode & 0o077 == 0
    folder.rmdir()


@pytest.mark.parametrize("suffix", [".blob", ".json"])
def test_link_in_the_place_of_an_entry_is_not_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    cache = CompiledCache(tmp_path / "cache")
    cache.store(KEY, BLOB)
    entry = find_one(cache.folder, suffix)
    elsewhere = entry.rename(tmp_path / "elsewhere")
    entry.symlink_to(elsewhere)
    assert cache.load(KEY) is None
    assert "can't be read" in caplog.text
    cache.store(KEY, BLOB)
    assert cache.load(KEY) == BLOB
    assert not find_one(cache.folder, suffix).is_symlink()


@pytest.mark.parametrize("suffix", [".blob", ".json"])
def test_entry_that_everybody_can_write_is_not_trusted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    cache = CompiledCache(tmp_path)
    cache.store(KEY, BLOB)
    find_one(tmp_path, suffix).chmod(0o666)
    assert cache.load(KEY) is None
    assert "others can write it" in caplog.text
