"""Listing what the caches hold, and telling what this machine can use."""

import json
import os
import time
from pathlib import Path

import pytest

from proxia_segmentation_ros.backends.compiled_cache import CompiledCache
from proxia_segmentation_ros.inference import engine_cache
from proxia_segmentation_ros.inference.engine_cache import (
    LEFTOVER_AGE_S,
    describe_environments,
    list_entries,
    list_leftovers,
)

HERE = {"format": 1, "tensorrt": "11.0.0", "gpu": "Orin", "sm": "8.7"}
REQUEST = {"backend": "tensorrt", "part": "network", "weights": "a" * 64, "network_hw": [96, 128]}


def store(folder: Path, **changes: object) -> None:
    CompiledCache(folder).store(HERE | REQUEST | changes, b"engine")  # type: ignore[arg-type]


def test_entry_says_what_it_is_and_fits_where_it_was_made(tmp_path: Path) -> None:
    store(tmp_path)
    (entry,) = list_entries([tmp_path, tmp_path / "missing"])
    assert entry.made_of == HERE | REQUEST
    assert (entry.backend, entry.size_bytes) == ("tensorrt", 6)
    assert 0 <= entry.age_s < 60
    assert entry.explain_unfit({"tensorrt": HERE}) == []


@pytest.mark.parametrize(
    ("name", "there", "sentence"),
    [
        ("tensorrt", "10.9.0", "tensorrt was 10.9.0, is 11.0.0"),
        ("gpu", "Xavier", "gpu was Xavier, is Orin"),
        ("sm", "7.2", "sm was 7.2, is 8.7"),
    ],
)
def test_entry_of_elsewhere_names_the_field_that_differs(
    tmp_path: Path, name: str, there: str, sentence: str
) -> None:
    store(tmp_path, **{name: there})
    (entry,) = list_entries([tmp_path])
    assert entry.explain_unfit({"tensorrt": HERE}) == [sentence]


def test_backend_that_is_absent_is_the_reason(tmp_path: Path) -> None:
    store(tmp_path)
    (entry,) = list_entries([tmp_path])
    assert entry.explain_unfit({"tensorrt": "torch finds no GPU"}) == ["torch finds no GPU"]
    assert entry.explain_unfit({}) == ["backend tensorrt is unknown"]


def test_damaged_and_lost_blobs_are_told(tmp_path: Path) -> None:
    store(tmp_path)
    (entry,) = list_entries([tmp_path])
    entry.blob_path.write_bytes(b"enginf")
    assert entry.explain_unfit({"tensorrt": HERE}) == ["is corrupt"]
    entry.blob_path.unlink()
    (entry,) = list_entries([tmp_path])
    assert entry.size_bytes == 0
    assert entry.explain_unfit({"tensorrt": HERE})[0].startswith("can't be read")


def test_files_of_others_are_no_entries(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / f"{'0' * 32}.json").write_text('{"key": {"a": 1}, "sha256": "x"}')
    (tmp_path / f"{'1' * 32}.json").write_text("[]")
    store(tmp_path)
    (sidecar,) = [path for path in tmp_path.glob("*.json") if path.stat().st_size > 100]
    sidecar.rename(tmp_path / "renamed.json")
    assert list_entries([tmp_path]) == []


def test_removed_entry_leaves_nothing(tmp_path: Path) -> None:
    store(tmp_path)
    (entry,) = list_entries([tmp_path])
    entry.remove()
    entry.remove()
    assert list(tmp_path.iterdir()) == []


def grow_old(folder: Path) -> None:
    long_ago_s = time.time() - 2 * LEFTOVER_AGE_S
    for path in folder.iterdir():
        os.utime(path, (long_ago_s, long_ago_s))


@pytest.mark.parametrize("sidecar", [None, b"", b'{"key": {"bac', b"\xff\xfe"])
def test_blob_that_lost_its_sidecar_is_an_entry_of_no_use(
    tmp_path: Path, sidecar: bytes | None
) -> None:
    store(tmp_path)
    (entry,) = list_entries([tmp_path])
    if sidecar is None:
        entry.sidecar_path.unlink()
    else:
        entry.sidecar_path.write_bytes(sidecar)
    # Its writer may be about to write the sidecar.
    assert list_entries([tmp_path]) == []
    grow_old(tmp_path)
    (entry,) = list_entries([tmp_path])
    assert (entry.backend, entry.size_bytes) == ("unknown", 6)
    assert entry.age_s > LEFTOVER_AGE_S
    (reason,) = entry.explain_unfit({"tensorrt": HERE})
    assert reason == f"{entry.sidecar_path.name} is missing or corrupt"
    entry.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["{}", '{"key": {"a": 1}, "sha256": "x"}', "[]"])
def test_pair_whose_json_says_something_else_is_of_others(tmp_path: Path, content: str) -> None:
    (tmp_path / f"{'0' * 32}.json").write_text(content)
    (tmp_path / f"{'0' * 32}.blob").write_bytes(b"x")
    grow_old(tmp_path)
    assert list_entries([tmp_path]) == []


def test_leftovers_are_old_parts_of_our_own_files(tmp_path: Path) -> None:
    store(tmp_path)
    parts = [tmp_path / f".{'a' * 32}.{kind}.77.partial" for kind in ("blob", "json")]
    foreign = [tmp_path / "model.blob", tmp_path / ".hidden.partial"]
    for path in (*parts, *foreign):
        path.write_bytes(b"x")
    assert list_leftovers([tmp_path]) == []
    grow_old(tmp_path)
    assert list_leftovers([tmp_path]) == sorted(parts)


@pytest.mark.slow
def test_environment_of_openvino_is_that_of_its_keys(
    tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxia_segmentation_ros.inference import Segmenter

    Segmenter.from_weights(tiny_weights, backend="openvino", cache_dir=tmp_path).close()
    (entry,) = list_entries([tmp_path])
    assert entry.explain_unfit(describe_environments()) == []
    monkeypatch.setattr(engine_cache, "describe_cpu", lambda: "Other CPU")
    (reason,) = entry.explain_unfit(describe_environments())
    assert reason.startswith("cpu was ")
    assert reason.endswith("is Other CPU")
    assert json.loads(entry.sidecar_path.read_text())["key"]["precision"]
