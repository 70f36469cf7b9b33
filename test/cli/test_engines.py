"""`proxia engines` from the command line, in a cache of its own."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from proxia_segmentation_ros.backends.compiled_cache import CompiledCache
from proxia_segmentation_ros.cli import main
from proxia_segmentation_ros.inference import backend_choice, engine_cache

OLD: dict[str, Any] = {
    "format": 1,
    "backend": "openvino",
    "part": "labels",
    "output_hw": [480, 640],
    "weights": "f" * 64,
    "precision": "f16",
    "openvino": "2020.1",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("PROXIA_CACHE_DIR", str(folder))
    monkeypatch.setenv("PROXIA_WEIGHTS_DIR", str(tmp_path / "weights"))
    return folder


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["proxia", "engines", *arguments])
    code = main()
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.mark.slow
def test_build_list_and_prune_belong_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    arguments = ("--backend", "openvino", "--size", "64x48", "--image-size", "80x60")
    code, out, _ = call(monkeypatch, capsys, "build", *arguments, "--batch", "2")
    assert code == 0
    assert "compiled anew" in out
    assert re.search(r"^openvino, \w+, on .*, up to 2 together: [\d.]+ s$", out, re.MULTILINE)
    _, out, _ = call(monkeypatch, capsys, "list")
    assert out.splitlines()[0].split()[:4] == ["backend", "what", "weights", "precision"]
    shapes = {re.split(r" {2,}", line)[4] for line in out.splitlines()[1:]}
    assert shapes == {"1 x 64x48", "2 x 64x48"}
    assert all(re.search(r" default .* yes$", line) for line in out.splitlines()[1:])
    _, out, _ = call(monkeypatch, capsys, "build", *arguments, "--batch", "2")
    assert "compiled anew" not in out
    _, out, _ = call(monkeypatch, capsys, "prune")
    assert out == "0 deleted, 0.0 MiB\n"
    (cache / "kernels_11.0.0_sm8.7.timing").write_bytes(b"x")
    _, out, _ = call(monkeypatch, capsys, "prune")
    assert out == "0 deleted, 0.0 MiB\n"
    _, out, _ = call(monkeypatch, capsys, "prune", "--all")
    assert out.splitlines()[-1].startswith("3 deleted, ")
    assert list(cache.iterdir()) == []


def test_engines_of_a_backend_that_is_missing_here_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    monkeypatch.setattr(engine_cache, "_describe_tensorrt", lambda: "torch-tensorrt is missing")
    CompiledCache(cache).store(OLD | {"backend": "tensorrt"}, b"engine")
    _, out, _ = call(monkeypatch, capsys, "list", "--json")
    assert not json.loads(out)[0]["usable"]
    _, out, _ = call(monkeypatch, capsys, "prune")
    assert out.startswith("0 deleted")
    call(monkeypatch, capsys, "prune", "--all")
    assert list(cache.iterdir()) == []


def test_what_this_machine_can_not_use_is_listed_with_its_reason_and_pruned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    CompiledCache(cache).store(OLD, b"engine")
    foreign = cache / "notes.json"
    foreign.write_text('{"mine": true}')
    _, out, _ = call(monkeypatch, capsys, "list", "--json")
    (row,) = json.loads(out)
    assert (row["what"], row["shapes"], row["weights"]) == ("labels", "1 x 640x480", "f" * 12)
    assert not row["usable"]
    assert row["problems"]
    _, out, _ = call(monkeypatch, capsys, "prune", "--dry-run")
    assert "can't be used here: " in out
    assert out.endswith("1 would be deleted, 0.0 MiB\n")
    assert len(list(cache.iterdir())) == 3
    call(monkeypatch, capsys, "prune")
    assert list(cache.iterdir()) == [foreign]


def test_engine_whose_sidecar_is_corrupt_is_listed_and_pruned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    CompiledCache(cache).store(OLD, b"engine")
    (sidecar,) = cache.glob("*.json")
    sidecar.write_text('{"key": ')
    for path in cache.iterdir():
        os.utime(path, (1.0, 1.0))
    _, out, _ = call(monkeypatch, capsys, "list", "--json")
    (row,) = json.loads(out)
    assert [row[name] for name in ("backend", "what", "weights", "shapes")] == ["unknown"] * 4
    _, out, _ = call(monkeypatch, capsys, "list")
    assert f"{sidecar.name} is missing or corrupt" in out
    _, out, _ = call(monkeypatch, capsys, "prune")
    assert out.splitlines()[-1] == "1 deleted, 0.0 MiB"
    assert list(cache.iterdir()) == []


def test_file_that_can_not_be_deleted_is_one_sentence_after_what_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    for weights in "abc":
        CompiledCache(cache).store(OLD | {"weights": weights * 64}, b"engine" * 100_000)
    real = Path.unlink
    removed: list[Path] = []

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if len(removed) == 4:
            raise PermissionError(13, "Permission denied", str(self))
        removed.append(self)
        real(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    code, out, err = call(monkeypatch, capsys, "prune")
    assert code == 3
    assert out.count("can't be used here") == 2
    (kept,) = cache.glob("*.json")
    assert f"{kept} can't be deleted (Permission denied), after 2 were, 1.1 MiB; expected" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_old_ones_go_by_their_age(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    call(monkeypatch, capsys, "build", "--backend", "openvino", "--size", "64x48")
    _, out, _ = call(monkeypatch, capsys, "prune", "--older-than", "1")
    assert out.startswith("0 deleted")
    _, out, _ = call(monkeypatch, capsys, "prune", "--older-than", "0")
    assert "days old" in out
    assert list(cache.iterdir()) == []


def test_empty_cache_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    code, out, _ = call(monkeypatch, capsys, "list")
    assert (code, out) == (0, f"none in {cache}\n")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--backend", "tensorrt"), 5, "expected an NVIDIA GPU and torch-tensorrt"),
        (("--image-size", "wide"), 2, "image size is 'wide'"),
        (("--scales", "0.5,x"), 2, "scales are '0.5,x'"),
        (("--weights", "nothing"), 4, "nothing"),
    ],
)
def test_orders_that_can_not_be_built_end_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    monkeypatch.setattr(backend_choice, "explain_gpu_absence", lambda: "there is no GPU")
    found, _, err = call(monkeypatch, capsys, "build", *arguments)
    assert found == code
    assert sentence in err
