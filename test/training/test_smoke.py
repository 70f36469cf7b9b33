"""Dry runs and smoke runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.model.checkpoint import load_weights
from proxia_segmentation_ros.training.recipe import explain_recipe, list_recipes, load_recipe
from proxia_segmentation_ros.training.settings import flatten_settings
from proxia_segmentation_ros.training.smoke import make_smoke_overrides, run_smoke

SMALL = ["model.ocr_mid=8", "model.ocr_key=4", "threads=1", "precision=f32"]


def run_command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "proxia_segmentation_ros.cli", "train", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_every_setting_tells_where_it_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("steps: 30\noptimiser: {class_boost: {car: 2.0}, loss: cross_entropy}\n")
    overrides = ["seed=3", "steps=9", "optimiser.class_boost.pole=3"]
    settings = {setting.name: setting for setting in explain_recipe(path, overrides)}
    assert (settings["steps"].value, settings["steps"].origin) == (9, "--set")
    assert (settings["seed"].value, settings["seed"].origin) == (3, "--set")
    assert settings["optimiser.class_boost"].value == {"car": 2.0, "pole": 3.0}
    assert settings["optimiser.class_boost"].origin == "--set"
    assert settings["optimiser.loss"].origin == "recipe"
    assert settings["batch_size"].origin == "default"
    assert {name: setting.value for name, setting in settings.items()} == flatten_settings(
        load_recipe(path, overrides)
    )


def test_dry_run_prints_settings_and_does_nothing_more(tmp_path: Path) -> None:
    answer = run_command("synthetic", "--dry-run", "--set", "seed=5", folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert "seed: 5  # --set" in lines
    assert "steps: 1200  # recipe" in lines
    assert "accumulate: 1  # default" in lines
    assert len(lines) == len(flatten_settings(load_recipe("synthetic")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_smoke_run_goes_through_everything_and_can_be_repeated(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    out = tmp_path / "try-smoke"
    for _ in range(2):
        path = run_smoke("synthetic", SMALL, out=out, report=rows.append)
    assert path == out / "synthetic-smoke.safetensors"
    assert "smoke run" in load_weights(path)[1].training_data
    assert [row["step"] for row in rows if "val_miou" in row] == [2, 4, 2, 4]


def test_smoke_run_leaves_other_runs_alone(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"precious")
    with pytest.raises(ConfigError, match=r"name that ends in -smoke"):
        run_smoke("synthetic", SMALL, out=tmp_path, report=lambda row: None)
    assert (tmp_path / "last.pt").read_bytes() == b"precious"


@pytest.mark.slow
def test_smoke_command_is_clearly_named(tmp_path: Path) -> None:
    sets = [part for setting in SMALL for part in ("--set", setting)]
    answer = run_command("synthetic", "--smoke", *sets, folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "smoke run passed" in answer.stdout
    assert (tmp_path / "runs" / "synthetic-smoke" / "synthetic-smoke.safetensors").is_file()
    answer = run_command("synthetic", "--smoke", "--resume", folder=tmp_path)
    assert answer.returncode == 2
    assert "leave --resume away" in answer.stderr


@pytest.mark.slow
def test_torchrun_starts_a_run_of_two_processes(tmp_path: Path) -> None:
    torchrun = shutil.which("torchrun")
    assert torchrun is not None
    sets = [part for setting in [*SMALL, "device=cpu"] for part in ("--set", setting)]
    command = ["-m", "proxia_segmentation_ros.cli", "train", "synthetic", "--smoke", *sets]
    answer = subprocess.run(
        [torchrun, "--standalone", "--nproc-per-node", "2", *command],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("smoke run passed") == 1
    assert answer.stdout.count("step 4  synthetic_miou") == 1
    assert load_weights(tmp_path / "runs" / "synthetic-smoke" / "synthetic-smoke.safetensors")


def test_smoke_settings_fit_every_shipped_recipe() -> None:
    for name in list_recipes():
        recipe = load_recipe(name, make_smoke_overrides(load_recipe(name)))
        assert recipe.steps == 4
        assert recipe.model.name == f"{name}-smoke"
