"""Score weights on a folder of images with masks, by what robots run unless copies are averaged."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxia_segmentation_ros.apps.progress import Progress
from proxia_segmentation_ros.data.folder import ImageMaskFolder
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.evaluation import EvaluationReport, evaluate
from proxia_segmentation_ros.evaluation.boundary import BoundaryScore, Tolerance
from proxia_segmentation_ros.labels import load_label_set

if TYPE_CHECKING:
    from proxia_segmentation_ros.evaluation.averaged_segmenter import AveragedSegmenter
    from proxia_segmentation_ros.inference import Segmenter


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """What is scored on what; outlines are only where `boundary_tolerance` is not 0."""

    images: Path
    labels: Path
    weights: str = "default"
    label_set: str = "camvid"
    backend: str = "auto"
    precision: str = "auto"
    size: str = "card"
    scales: tuple[float, ...] = ()
    flip: bool = False
    average_scales: tuple[float, ...] = (1.0,)
    boundary_tolerance: float = 0.0

    @property
    def is_averaged(self) -> bool:
        """Whether each image is labelled more than once."""
        return self.flip or self.average_scales != (1.0,)


@dataclass(frozen=True)
class Score:
    """The report and what was run to get it."""

    settings: ScoreSettings
    backend: str
    precision: str
    report: EvaluationReport
    boundary: BoundaryScore | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what goes into JSON."""
        run = {
            "weights": self.settings.weights,
            "images_dir": str(self.settings.images),
            "backend": self.backend,
            "precision": self.precision,
            "scales": list(self.settings.scales),
            "flip": self.settings.flip,
            "average_scales": list(self.settings.average_scales),
        }
        outlines = {}
        if self.boundary is not None:
            outlines = self.boundary.to_dict(self.report.class_names)
        return {**run, **self.report.to_dict(), **outlines}


def score_folder(settings: ScoreSettings, progress: Progress) -> Score:
    """Label every image and compare it with its mask.

    Raises:
        InputError: a folder or mask is missing, or the classes are not the weights'.
        WeightsError: the weights can't be loaded.
        ConfigError: scales, size, backend or precision don't fit the weights or each other.
    """
    label_set = load_label_set(settings.label_set)
    pairs = ImageMaskFolder(settings.images, settings.labels, label_set)
    boundary = None
    if settings.boundary_tolerance:
        boundary = BoundaryScore(len(label_set), Tolerance(settings.boundary_tolerance))
    segmenter = _make_segmenter(settings)
    progress.begin("labelling", len(pairs))
    try:
        report = evaluate(
            segmenter,
            (pairs[index] for index in range(len(pairs))),
            label_set,
            lambda _: progress.advance(),
            boundary,
        )
        return Score(settings, segmenter.backend, segmenter.precision, report, boundary)
    finally:
        segmenter.close()


def _make_segmenter(settings: ScoreSettings) -> "Segmenter | AveragedSegmenter":
    """Return what robots run, or the slow one when copies are averaged."""
    if not settings.is_averaged:
        from proxia_segmentation_ros.inference import Segmenter

        return Segmenter.from_weights(
            settings.weights,
            backend=settings.backend,
            precision=settings.precision,
            size=settings.size,
            scales=settings.scales,
        )
    from proxia_segmentation_ros.evaluation.averaged_segmenter import AveragedSegmenter
    from proxia_segmentation_ros.evaluation.averaging import Averaging

    if settings.backend not in ("auto", "torch") or settings.precision not in ("auto", "f32"):
        raise ConfigError.from_parts(
            f"backend {settings.backend}, precision {settings.precision} with averaged copies",
            "torch and f32",
            "leave both at auto",
        )
    averaging = Averaging(flip=settings.flip, scales=settings.average_scales)
    return AveragedSegmenter(
        settings.weights, averaging, size=settings.size, scales=settings.scales
    )
