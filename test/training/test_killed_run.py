"""A run that is killed with -9 and goes on."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from proxia_segmentation_ros.model.checkpoint import load_weights

pytestmark = pytest.mark.slow

STEPS = 45
# Validation and checkpoints fall on different steps, and log rows on others.
SETTINGS = [
    "model.ocr_mid=8",
    "model.ocr_key=4",
    "model.size_hw=[32, 48]",
    "augmentation.crop_hw=[32, 32]",
    "data.synthetic_weight=0",
    "optimiser.warmup_steps=4",
    f"steps={STEPS}",
    "batch_size=2",
    "validate_every=10",
    "save_every=7",
    "class_share_pairs=4",
    "precision=f32",
    "device=cpu",
    "threads=1",
]


@pytest.fixture
def pairs_folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for folder in (part, f"{part}annot"):
            (tmp_path / "data" / folder).mkdir(parents=True)
        for index in range(3):
            image = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
            mask = rng.integers(0, 12, (40, 60), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "data" / part / f"{index}.png"), image)
            cv2.imwrite(str(tmp_path / "data" / f"{part}annot" / f"{index}.png"), mask)
    return tmp_path / "data"


def start(folder: Path, data: Path, *further: str) -> subprocess.Popen[bytes]:
    sets = [part for setting in [*SETTINGS, f"data.root={data}"] for part in ("--set", setting)]
    command = ["-m", "proxia_segmentation_ros.cli", "train", "camvid", "-o", str(folder)]
    return subprocess.Popen([sys.executable, *command, *sets, *further], stdout=subprocess.DEVNULL)


def kill_after_step(process: subprocess.Popen[bytes], folder: Path, step: int) -> None:
    """Kill the run as soon as its log holds a row of `step`."""
    wait_for_step(process, folder, step)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL


def wait_for_step(process: subprocess.Popen[bytes], folder: Path, step: int) -> None:
    deadline = time.monotonic() + 240
    while not any(row["step"] >= step for row in read_rows(folder)):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.002)


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the whole rows of a log without what depends on the clock."""
    path = folder / "log.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]
    rows = [json.loads(line) for line in lines]
    return [{k: v for k, v in row.items() if k not in ("step_s", "eta_s")} for row in rows]


def assert_same(got: Any, wanted: Any, place: str = "") -> None:
    if isinstance(got, torch.Tensor):
        assert torch.equal(got, wanted), place
    elif isinstance(got, dict):
        assert got.keys() == wanted.keys()
        for name in got:
            assert_same(got[name], wanted[name], f"{place}.{name}")
    else:
        assert got == wanted, place


def test_killed_run_reaches_the_same_bits(pairs_folder: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(whole, pairs_folder).wait(300) == 0
    kill_after_step(start(killed, pairs_folder), killed, 20)
    (killed / "log.jsonl").open("a").write('{"step": 2')  # torn by the kill
    kill_after_step(start(killed, pairs_folder, "--resume"), killed, 40)
    assert torch.load(killed / "last.pt", weights_only=True)["step"] < STEPS
    assert start(killed, pairs_folder, "--resume").wait(300) == 0
    for name in ("last.pt", "best.pt"):
        got, wanted = (torch.load(run / name, weights_only=True) for run in (whole, killed))
        assert_same(got, wanted, name)
    assert read_rows(killed) == read_rows(whole)
    # safetensors writes its header's keys in any order, so that bytes may differ.
    (network, card), (other_network, other_card) = (
        load_weights(run / "camvid.safetensors") for run in (whole, killed)
    )
    assert card == other_card
    assert_same(network.state_dict(), other_network.state_dict(), "camvid.safetensors")


def test_interrupted_run_saves_the_step_that_it_ends_with(
    pairs_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = start(folder, pairs_folder, "--set", "save_every=1000")
    wait_for_step(process, folder, 20)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert torch.load(folder / "last.pt", weights_only=True)["step"] >= 20
    assert not (folder / "camvid.safetensors").exists()
