"""Evaluate weights on images with ground truth, by default as the node runs them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from proxia_segmentation_ros.apps.evaluate.process_group import join_process_group
from proxia_segmentation_ros.apps.evaluate.settings import (
    FOLDERS,
    EvaluationData,
    EvaluationSettings,
)
from proxia_segmentation_ros.apps.segment.truth import list_assumed_ids
from proxia_segmentation_ros.backends.pruned.tile_selection import NO_PRUNING, Pruning
from proxia_segmentation_ros.data.dataset import Dataset, FocusedPair
from proxia_segmentation_ros.data.label_statistics import list_unknown_ids
from proxia_segmentation_ros.data.pair_checks import check_pairs
from proxia_segmentation_ros.data.resize import resize_pair
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.evaluation import EvaluationReport, evaluate
from proxia_segmentation_ros.evaluation.boundary import BoundaryScore, Tolerance
from proxia_segmentation_ros.evaluation.calibration import Calibration
from proxia_segmentation_ros.evaluation.evaluation_loop import read_annotated_images
from proxia_segmentation_ros.evaluation.observer import AnnotatedImage, Observer
from proxia_segmentation_ros.evaluation.temperature import LogitSample
from proxia_segmentation_ros.evaluation.worst_images import WorstImages
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.progress import Progress

if TYPE_CHECKING:
    from proxia_segmentation_ros.evaluation.exact_segmenter import ExactSegmenter
    from proxia_segmentation_ros.inference import Segmenter


class EvaluationObserver(Observer, Protocol):
    """An observer whose results are printed and written."""

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return the observer's keys of the JSON."""

    def to_text(self) -> str:
        """Return lines to print below the table, or an empty text."""


def make_observers(
    settings: EvaluationSettings, label_set: LabelSet
) -> tuple[EvaluationObserver, ...]:
    """Return the observers that the settings ask for.

    Raises:
        ConfigError: an observer's setting is out of its range.
    """
    observers: list[EvaluationObserver] = []
    if settings.boundary:
        observers.append(BoundaryScore(len(label_set), Tolerance(settings.boundary)))
    if settings.calibration or settings.page:
        observers.append(Calibration(len(label_set)))
    if settings.fit_temperature or settings.save_calibrated:
        _check_deployed_logits(settings)
        observers.append(LogitSample(read_card(settings.weights_path).temperature))
    if settings.page:
        observers.append(WorstImages(label_set, settings.worst))
    return tuple(observers)


def _check_deployed_logits(settings: EvaluationSettings) -> None:
    """Refuse to fit a temperature to logits that the node never computes."""
    foreign = {
        "flip": settings.flip,
        "average_scales": settings.average_scales != (1.0,),
        "window": bool(settings.window),
    }
    chosen = [name for name, is_there in foreign.items() if is_there]
    if chosen:
        raise ConfigError.from_parts(
            f"a temperature is fitted with {', '.join(chosen)}",
            "the logits that the node computes, of the whole image",
            f"leave {' and '.join(chosen)} away",
        )


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation, and what was run."""

    settings: EvaluationSettings
    backend: str
    precision: str
    report: EvaluationReport
    label_set: LabelSet
    observers: tuple[EvaluationObserver, ...] = ()
    pruning: Pruning = NO_PRUNING
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the results for JSON."""
        run = {
            "weights": self.settings.weights,
            **self.settings.data.describe(),
            "backend": self.backend,
            "arithmetic": self.precision,
            "size": self.settings.size,
            "scales": list(self.settings.scales),
            "tile_threshold": self.pruning.tile_threshold,
            "tile_budget": self.pruning.tile_budget,
            "flip": self.settings.flip,
            "average_scales": list(self.settings.average_scales),
            "window": self.settings.window,
            "overlap": self.settings.overlap,
        }
        content = {**run, **self.report.to_dict(), "notes": list(self.notes)}
        for observer in self.observers:
            content.update(observer.to_dict(self.report.class_names))
        return content

    def to_text(self) -> str:
        """Return the results as a text."""
        parts = [
            *(f"note: {note}" for note in self.notes),
            self.report.to_text(),
            self._describe_pruning(),
            *(observer.to_text() for observer in self.observers),
        ]
        return "\n".join(part for part in parts if part)

    def _describe_pruning(self) -> str:
        if self.pruning.is_off:
            return ""
        threshold, budget = self.pruning.tile_threshold, self.pruning.tile_budget
        return f"tiles of larger scales: threshold {threshold:g}, budget {budget:g}"


def evaluate_weights(
    settings: EvaluationSettings,
    progress: Progress,
    cache_dir: Path | None = None,
    *,
    self_test: bool = True,
) -> Evaluation:
    """Segment every image and compare the labels with its mask.

    Of several processes that torchrun started, each segments a part of the images, and all return
    the same results. Compiled networks go to `cache_dir`, by default to the user's cache.
    Without `self_test` the network is scored whatever it does.

    Raises:
        InputError: a folder or mask is missing, or its classes differ from the weights'.
        WeightsError: the weights can't be loaded.
        ConfigError: scales, size, backend or precision don't fit the weights or each other.
    """
    pairs = settings.data.open(read_card(settings.weights_path).to_label_set())
    observers = make_observers(settings, pairs.label_set)
    with join_process_group() as group:
        notes = find_notes(settings.data, pairs) if group.rank == 0 else ()
        segmenter = _open_segmenter(settings, observers, cache_dir, self_test)
        indices = group.split_indices(len(pairs))
        progress.begin("labelling", len(indices))
        try:
            report = evaluate(
                segmenter,
                _resize(read_annotated_images(pairs, indices), settings.data.long_side),
                pairs.label_set,
                lambda _: progress.advance(),
                observers,
                group.gather_others,
            )
            return Evaluation(
                settings,
                segmenter.backend,
                segmenter.precision,
                report,
                pairs.label_set,
                observers,
                segmenter.pruning,
                notes,
            )
        finally:
            segmenter.close()


def find_notes(data: EvaluationData, pairs: Dataset) -> tuple[str, ...]:
    """Check the files; return what could make the scores wrong, as ids of no class do.

    Raises:
        InputError: a file can't be used.
    """
    assumed = list_assumed_ids(pairs.label_set) if data.dataset == FOLDERS else []
    return (*assumed, *check_pairs(pairs), *list_unknown_ids(pairs))


def _open_segmenter(
    settings: EvaluationSettings,
    observers: Sequence[Observer],
    cache_dir: Path | None,
    self_test: bool,
) -> "Segmenter | ExactSegmenter":
    """Return the node's segmenter, or the exact one if the settings or an observer need it."""
    reasons = settings.list_exact_reasons()
    if any(observer.needs_logits for observer in observers):
        reasons.append("logits")
    settings.check_exact(reasons)
    if reasons:
        return settings.open_exact()
    return settings.open_fast(cache_dir, self_test=self_test)


def _resize(images: Iterable[AnnotatedImage], long_side: int) -> Iterator[AnnotatedImage]:
    for image in images:
        pair = FocusedPair(image.image_HWC, image.truth_HW)
        image_HWC, truth_HW, _ = resize_pair(pair, long_side)
        yield replace(image, image_HWC=image_HWC, truth_HW=truth_HW)
