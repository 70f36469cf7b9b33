"""Dumps of Cityscapes, read by the benchmark's own scripts and by our auto-labelled data set."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling

from proxia_segmentation_ros.apps.segment.run import segment_files
from proxia_segmentation_ros.apps.segment.settings import SegmentSettings
from proxia_segmentation_ros.data.datasets.cityscapes_auto import open_cityscapes_auto
from proxia_segmentation_ros.inference import Segmentation
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.card import CardLabelSet
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.progress import Progress

CITYSCAPES = load_label_set("cityscapes")
NAMES = ("bonn/bonn_000002_000019", "ulm/ulm_000001_000019")
# Every class once, one column each; the network is sure of the left half.
TRUTH_HW = np.tile(np.arange(19, dtype=np.uint8), (20, 1))
CONFIDENCE_HW = np.where(TRUTH_HW < 10, 204, 102).astype(np.uint8)


class ColumnSegmenter:
    """Finds each class in a column of its own."""

    @classmethod
    def from_weights(cls, weights: str, **options: Any) -> "ColumnSegmenter":
        return cls()

    def segment(self, image_HWC: np.ndarray, with_confidence: bool) -> Segmentation:
        return Segmentation(TRUTH_HW, CONFIDENCE_HW if with_confidence else None, (20, 19))

    def close(self) -> None:
        """Hold nothing."""


class SilentProgress:
    """Counts nothing."""

    def begin(self, text: str, total: int | None = None) -> None:
        """Start nothing."""

    def advance(self) -> None:
        """Go nowhere."""


@pytest.fixture(name="root")
def make_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a tree of extra images with coarse labels, and let the fake label it."""
    for name in NAMES:
        image = tmp_path / "leftImg8bit/train_extra" / f"{name}_leftImg8bit.png"
        mask = tmp_path / "gtCoarse/train_extra" / f"{name}_gtCoarse_labelIds.png"
        for path, pixels in ((image, np.zeros((20, 19, 3), np.uint8)), (mask, TRUTH_HW)):
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), pixels)
    card = read_card("default").model_copy(
        update={"label_set": CardLabelSet.from_label_set(CITYSCAPES)}
    )
    monkeypatch.setattr("proxia_segmentation_ros.apps.segment.run.read_card", lambda _: card)
    monkeypatch.setattr(
        "proxia_segmentation_ros.inference.Segmenter", ColumnSegmenter, raising=False
    )
    return tmp_path


def dump(root: Path, kind: str) -> Path:
    progress: Progress = SilentProgress()
    settings = SegmentSettings(
        path=root / "leftImg8bit", out=root / "out", write=(kind,), recursive=True
    )
    said: list[str] = []
    assert segment_files(settings, said.append, progress).labelled == 2
    assert not [line for line in said if line.startswith("note")]
    return root / "out" / kind


def test_benchmarks_scripts_find_the_results_and_know_their_ids(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dump(root, "submission")
    settings = evalPixelLevelSemanticLabeling.args
    monkeypatch.setattr(settings, "predictionPath", str(folder))
    monkeypatch.setattr(settings, "predictionWalk", None)
    for name in NAMES:
        truth = f"gtFine/test/{name}_gtFine_labelIds.png"
        result = evalPixelLevelSemanticLabeling.getPrediction(settings, truth)
        assert result == str(folder / "train_extra" / f"{name}_leftImg8bit.png")
        ids_HW = cv2.imread(result, cv2.IMREAD_UNCHANGED)
        assert ids_HW is not None
        found = [
            evalPixelLevelSemanticLabeling.id2label[class_id].name
            for class_id in ids_HW[0].tolist()
        ]
        assert [name.replace(" ", "_") for name in found] == list(CITYSCAPES.names)


def test_data_set_reads_auto_labels_and_drops_what_was_unsure(root: Path) -> None:
    folder = dump(root, "autolabels")
    data = open_cityscapes_auto(root, auto_labels=folder, min_probability=0.5)
    assert len(data) == 2
    for index in range(2):
        labels_HW = data.read_labels(index)
        assert (labels_HW == np.where(TRUTH_HW < 10, TRUTH_HW, 255)).all()
