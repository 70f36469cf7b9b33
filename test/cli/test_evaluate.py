"""`proxia evaluate` as a person runs it, alone, in two processes and beside the benchmark."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from cityscapes_sample import FRAMES, SIZE_HW, write_tree, write_weights
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling

from proxia_segmentation_ros.cli import main
from proxia_segmentation_ros.labels import load_label_set

# Ids 26 and up (car and what follows) are never true, and of these the network finds car alone.
FOUND_WHERE_NOTHING_IS, NOWHERE = "car", ("truck", "bus", "train", "motorcycle", "bicycle")


@pytest.fixture(scope="module", name="root")
def make_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tree of Cityscapes and weights."""
    root = tmp_path_factory.mktemp("cityscapes")
    write_tree(root)
    write_weights(root / "weights.safetensors", unknown=(14, 15, 16, 17, 18))
    return root


@pytest.fixture(autouse=True)
def _run_in_one_thread() -> Iterator[None]:
    """Compute as each of several processes does; small images are labelled faster so, too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["proxia", *map(str, arguments)])
    assert main() == 0


def name_data(root: Path) -> list[object]:
    weights = ["--weights", root / "weights.safetensors"]
    return ["--dataset", "cityscapes", "--root", root, "--split", "val", *weights]


def score_as_the_benchmark(
    root: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    for name, value in {"evalInstLevelScore": False, "JSONOutput": False, "quiet": True}.items():
        monkeypatch.setattr(evalPixelLevelSemanticLabeling.args, name, value)
    monkeypatch.setattr(evalPixelLevelSemanticLabeling.args, "predictionPath", str(results))
    monkeypatch.setattr(evalPixelLevelSemanticLabeling.args, "predictionWalk", None)
    truth = sorted(str(path) for path in (root / "gtFine/val").rglob("*_labelIds.png"))
    arguments = evalPixelLevelSemanticLabeling.args
    found = [evalPixelLevelSemanticLabeling.getPrediction(arguments, path) for path in truth]
    scores: dict[str, Any] = evalPixelLevelSemanticLabeling.evaluateImgLists(
        found, truth, arguments
    )
    return scores


@pytest.mark.parametrize(
    "options",
    [
        ["--backend", "torch", "--precision", "f32"],
        ["--flip", "--average-scales", "0.5,1.0", "--window", "64x48", "--overlap", "0.5"],
    ],
    ids=["as robots", "averaged windows"],
)
@pytest.mark.slow
def test_scores_of_a_data_set_are_the_benchmarks_of_its_submission(
    options: list[str], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--size", "input", *options]
    call(monkeypatch, "evaluate", *name_data(root), *options, "--out", tmp_path / "score.json")
    ours = json.loads((tmp_path / "score.json").read_text())
    dump = [root / "leftImg8bit/val", "-o", tmp_path, "--recursive", "--write", "submission"]
    call(monkeypatch, "segment", *dump, "--weights", root / "weights.safetensors", *options)
    theirs = score_as_the_benchmark(root, tmp_path / "submission", monkeypatch)

    assert ours["images"] == len(FRAMES)
    assert list(ours["iou"]) == list(load_label_set("cityscapes").names)
    for name, iou in theirs["classScores"].items():
        mine = ours["iou"].get(name.replace(" ", "_"))
        assert (mine is None) if math.isnan(iou) else (mine == iou), name
    assert ours["mean_iou"] == theirs["averageScoreClasses"]
    # Something is found, a class that is never true counts as 0, and one that is nowhere not.
    assert sum(iou is not None and iou > 0 for iou in ours["iou"].values()) >= 5
    assert ours["iou"][FOUND_WHERE_NOTHING_IS] == 0
    assert [ours["iou"][name] for name in NOWHERE] == [None] * len(NOWHERE)
    seen = [iou for iou in ours["iou"].values() if iou is not None]
    assert ours["mean_iou"] == pytest.approx(np.mean(seen))


@pytest.mark.slow
def test_two_processes_score_as_one_does(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--size", "input", "--exact", "--boundary", "2"]
    arguments = ["evaluate", *name_data(root), *options, "--out"]
    call(monkeypatch, *arguments, tmp_path / "one.json")
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "proxia_segmentation_ros.cli", *arguments, tmp_path / "two.json"]
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "one.json").read_text()
    assert (tmp_path / "two.json").read_text() == report
    assert json.loads(report)["images"] == len(FRAMES) == 3
    assert json.loads(report)["pixels"] > 0
    # One of them speaks.
    assert done.stdout.count('"mean_iou"') == 1


def test_windows_narrow_what_the_network_sees(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for window in ("", "96x48", "48x48"):
        path = tmp_path / f"window{window}.json"
        size = ["--size", "input", "--exact", "--window", window]
        call(monkeypatch, "evaluate", *name_data(root), *size, "--out", path)
        found[window] = json.loads(path.read_text())
        assert found[window]["overlap"] == 0.25
        assert found[window].pop("window") == window
    assert found["96x48"] == found[""] != found["48x48"]


def test_longer_side_is_resized_for_image_and_mask(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = {}
    for long_side in (0, SIZE_HW[1] // 2):
        path = tmp_path / f"{long_side}.json"
        size = ["--size", "input", "--exact", "--set", f"data.long_side={long_side}"]
        call(monkeypatch, "evaluate", *name_data(root), *size, "--out", path)
        scored[long_side] = json.loads(path.read_text())
        assert scored[long_side]["long_side"] == long_side
    whole, half = scored.values()
    # The sample's blocks have sides of 8 pixels.
    assert whole["pixels"] == 4 * half["pixels"] > 0


def test_options_of_a_data_set_are_its_own(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = root / "gtFine/train/aachen"
    plain = tmp_path / "flat"
    for source, name in ((root / "leftImg8bit/train/aachen", "a"), (masks, "b")):
        (plain / name).mkdir(parents=True)
        for index, path in enumerate(sorted(source.glob("*.png"))):
            picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert picture is not None
            cv2.imwrite(str(plain / name / f"{index}.png"), picture)
    named = ["--dataset", "folder", "--root", plain, "--option", "label_set=cityscapes"]
    folders = [*named, "--option", "images=a", "--option", "masks=b"]
    weights = ["--weights", root / "weights.safetensors", "--size", "input", "--exact"]
    call(monkeypatch, "evaluate", *folders, *weights, "--out", tmp_path / "named.json")
    paths = [plain / "a", plain / "b", "--label-set", "cityscapes"]
    call(monkeypatch, "evaluate", *paths, *weights, "--out", tmp_path / "paths.json")
    by_name, by_paths = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("named", "paths")
    )
    assert (by_name.pop("dataset"), by_name.pop("split")) == ("folder", "val")
    assert by_name.pop("options") == {"label_set": "cityscapes", "images": "a", "masks": "b"}
    assert by_name.pop("images_dir") != by_paths.pop("images_dir")
    assert by_name == by_paths
    assert by_name["images"] == 1
