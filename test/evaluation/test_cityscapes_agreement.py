"""Our scores and those of the Cityscapes benchmark's own scripts, on a tree made here."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling

from proxia_segmentation_ros.data.datasets.cityscapes import open_cityscapes
from proxia_segmentation_ros.evaluation.metrics import ConfusionMatrix

FRAMES = ("frankfurt_000000_000294", "frankfurt_000001_000019", "lindau_000000_000019")
SIZE_HW = (48, 96)
TRAIN = 31  # a label id that no true pixel gets: only predicted, or in neither
CARAVAN = 29  # one that is not scored


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def make_tree(root: Path, rng: np.random.Generator, most_predicted: int) -> list[tuple[str, str]]:
    """Write images, true label ids and predicted ones; return the paths of both ids."""
    pairs = []
    for split, names in (("val", FRAMES), ("train", ("aachen_000000_000019",))):
        for name in names:
            city = root / "{}" / split / name.split("_")[0]
            truth_HW = rng.integers(0, TRAIN, SIZE_HW, dtype=np.uint8)
            predicted_HW = rng.integers(0, most_predicted + 1, SIZE_HW, dtype=np.uint8)
            is_right = rng.random(SIZE_HW) < 0.6
            predicted_HW[is_right] = truth_HW[is_right]
            image_HWC = np.zeros((*SIZE_HW, 3), np.uint8)
            write(Path(str(city).format("leftImg8bit")) / f"{name}_leftImg8bit.png", image_HWC)
            truth = Path(str(city).format("gtFine")) / f"{name}_gtFine_labelIds.png"
            write(truth, truth_HW)
            if split == "val":
                predicted = write(root / "results" / f"{name}.png", predicted_HW)
                pairs.append((str(predicted), str(truth)))
    return pairs


@pytest.mark.parametrize("most_predicted", [CARAVAN, 33])
def test_scores_are_the_benchmarks_to_the_last_digit(
    most_predicted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = make_tree(tmp_path, np.random.default_rng(most_predicted), most_predicted)
    for name, value in {"evalInstLevelScore": False, "JSONOutput": False, "quiet": True}.items():
        monkeypatch.setattr(evalPixelLevelSemanticLabeling.args, name, value)
    theirs = evalPixelLevelSemanticLabeling.evaluateImgLists(
        *map(list, zip(*pairs, strict=True)), evalPixelLevelSemanticLabeling.args
    )

    data = open_cityscapes(tmp_path, "val")
    matrix = ConfusionMatrix(len(data.label_set))
    predicted_of = {Path(truth): predicted for predicted, truth in pairs}
    for index, (_, mask) in enumerate(data.paths):
        ids_HW = cv2.imread(predicted_of[mask], cv2.IMREAD_UNCHANGED)
        assert ids_HW is not None
        matrix.add(data.read_labels(index), data.label_set.map_source(ids_HW))

    ours = dict(zip(data.label_set.names, matrix.iou_per_class().tolist(), strict=True))
    scored = {name.replace(" ", "_"): iou for name, iou in theirs["classScores"].items()}
    for name, iou in ours.items():
        assert iou == scored[name] or (math.isnan(iou) and math.isnan(scored[name]))
    assert math.isnan(ours["train"]) == (most_predicted == CARAVAN)
    assert matrix.mean_iou() == theirs["averageScoreClasses"]
