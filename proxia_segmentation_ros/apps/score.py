"""Score weights on images with true labels, by what robots run unless more is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from proxia_segmentation_ros.apps.progress import Progress
from proxia_segmentation_ros.apps.score_settings import ScoreSettings
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.evaluation import EvaluationReport, evaluate
from proxia_segmentation_ros.evaluation.boundary import BoundaryScore, Tolerance
from proxia_segmentation_ros.evaluation.evaluator import number_images
from proxia_segmentation_ros.evaluation.observer import Observer
from proxia_segmentation_ros.labels import LabelSet

if TYPE_CHECKING:
    from proxia_segmentation_ros.evaluation.exact_segmenter import ExactSegmenter
    from proxia_segmentation_ros.inference import Segmenter


class ScoreObserver(Observer, Protocol):
    """An observer whose findings are shown."""

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return keys of its own for the JSON."""

    def to_text(self) -> str:
        """Return lines for people, below the table; none is the empty text."""


def make_observers(settings: ScoreSettings, label_set: LabelSet) -> tuple[ScoreObserver, ...]:
    """Return what the settings ask to see beside the scores; the one place to add more.

    Raises:
        ConfigError: an observer's setting is out of its range.
    """
    observers: list[ScoreObserver] = []
    if settings.boundary:
        observers.append(BoundaryScore(len(label_set), Tolerance(settings.boundary)))
    return tuple(observers)


@dataclass(frozen=True)
class Score:
    """The report and what was run to get it."""

    settings: ScoreSettings
    backend: str
    precision: str
    report: EvaluationReport
    observers: tuple[ScoreObserver, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what goes into JSON."""
        run = {
            "weights": self.settings.weights,
            "images_dir": self.settings.data.place,
            "backend": self.backend,
            "precision": self.precision,
            "scales": list(self.settings.scales),
            "flip": self.settings.flip,
            "average_scales": list(self.settings.average_scales),
        }
        content = {**run, **self.report.to_dict()}
        for observer in self.observers:
            content.update(observer.to_dict(self.report.class_names))
        return content

    def to_text(self) -> str:
        """Return what people read."""
        parts = [self.report.to_text(), *(observer.to_text() for observer in self.observers)]
        return "\n".join(part for part in parts if part)


def score(settings: ScoreSettings, progress: Progress) -> Score:
    """Label every image and compare it with its mask.

    Raises:
        InputError: a folder or mask is missing, or the classes are not the weights'.
        WeightsError: the weights can't be loaded.
        ConfigError: scales, size, backend or precision don't fit the weights or each other.
    """
    pairs = settings.data.open()
    observers = make_observers(settings, pairs.label_set)
    segmenter = _make_segmenter(settings, observers)
    progress.begin("labelling", len(pairs))
    try:
        report = evaluate(
            segmenter,
            number_images(pairs),
            pairs.label_set,
            lambda _: progress.advance(),
            observers,
        )
        return Score(settings, segmenter.backend, segmenter.precision, report, observers)
    finally:
        segmenter.close()


def _make_segmenter(
    settings: ScoreSettings, observers: Sequence[Observer]
) -> "Segmenter | ExactSegmenter":
    """Return what robots run, or the exact one where the settings or an observer need it."""
    reasons = {
        "exact labels": settings.exact,
        "averaged copies": settings.is_averaged,
        "logits": any(observer.needs_logits for observer in observers),
    }
    if not any(reasons.values()):
        from proxia_segmentation_ros.inference import Segmenter

        return Segmenter.from_weights(
            settings.weights,
            backend=settings.backend,
            precision=settings.precision,
            size=settings.size,
            scales=settings.scales,
        )
    from proxia_segmentation_ros.evaluation.averaging import Averaging
    from proxia_segmentation_ros.evaluation.exact_segmenter import ExactSegmenter

    if settings.backend not in ("auto", "torch") or settings.precision not in ("auto", "f32"):
        chosen = ", ".join(reason for reason, is_there in reasons.items() if is_there)
        raise ConfigError.from_parts(
            f"backend {settings.backend}, precision {settings.precision} with {chosen}",
            "torch and f32",
            "leave both at auto",
        )
    averaging = Averaging(flip=settings.flip, scales=settings.average_scales)
    return ExactSegmenter(settings.weights, averaging, size=settings.size, scales=settings.scales)
