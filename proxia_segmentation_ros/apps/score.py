"""Score weights on a folder of images with masks, through the backend that robots run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxia_segmentation_ros.apps.progress import Progress
from proxia_segmentation_ros.data.folder import ImageMaskFolder
from proxia_segmentation_ros.evaluation import EvaluationReport, evaluate
from proxia_segmentation_ros.labels import load_label_set


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """What is scored on what."""

    images: Path
    labels: Path
    weights: str = "default"
    label_set: str = "camvid"
    backend: str = "auto"
    precision: str = "auto"
    size: str = "card"


@dataclass(frozen=True)
class Score:
    """The report and what was run to get it."""

    settings: ScoreSettings
    backend: str
    precision: str
    report: EvaluationReport

    def to_dict(self) -> dict[str, Any]:
        """Return what goes into JSON."""
        run = {
            "weights": self.settings.weights,
            "images_dir": str(self.settings.images),
            "backend": self.backend,
            "precision": self.precision,
        }
        return {**run, **self.report.to_dict()}


def score_folder(settings: ScoreSettings, progress: Progress) -> Score:
    """Label every image and compare it with its mask.

    Raises:
        InputError: a folder or mask is missing, or the classes are not the weights'.
        WeightsError: the weights can't be loaded.
    """
    label_set = load_label_set(settings.label_set)
    pairs = ImageMaskFolder(settings.images, settings.labels, label_set)
    from proxia_segmentation_ros.inference import Segmenter

    segmenter = Segmenter.from_weights(
        settings.weights,
        backend=settings.backend,
        precision=settings.precision,
        size=settings.size,
    )
    progress.begin("labelling", len(pairs))
    try:
        report = evaluate(
            segmenter,
            (pairs[index] for index in range(len(pairs))),
            label_set,
            lambda _: progress.advance(),
        )
        return Score(settings, segmenter.backend, segmenter.precision, report)
    finally:
        segmenter.close()
