"""Evaluate a segmenter on images with ground truth, through the backend that a robot runs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from proxia_segmentation_ros.data.dataset import Dataset
from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.evaluation.metrics import ConfusionMatrix
from proxia_segmentation_ros.evaluation.observer import AnnotatedImage, EvaluatedImage, Observer
from proxia_segmentation_ros.evaluation.report import EvaluationReport
from proxia_segmentation_ros.labels import LabelSet

# Sends this process's results to the other processes and returns theirs.
GatherOthers: TypeAlias = Callable[[Any], Sequence[Any]]


class _Labelled(Protocol):
    @property
    def labels(self) -> np.ndarray: ...

    @property
    def confidence(self) -> np.ndarray | None: ...


class _LabelledWithLogits(_Labelled, Protocol):
    @property
    def logits_KHW(self) -> np.ndarray | None: ...


class ImageSegmenter(Protocol):
    """The part of `inference.Segmenter` that an evaluation needs."""

    @property
    def label_set(self) -> LabelSet: ...

    def segment(
        self, image_HWC: np.ndarray, with_confidence: bool = False, *, output_size: str = "input"
    ) -> _Labelled:
        """Label one RGB image."""


@runtime_checkable
class LogitsSegmenter(ImageSegmenter, Protocol):
    """A segmenter that can also return its logits."""

    def segment_with_logits(
        self, image_HWC: np.ndarray, with_confidence: bool = False, *, output_size: str = "input"
    ) -> _LabelledWithLogits:
        """Label one RGB image; logits_KHW is float32 at the output size."""


def read_annotated_images(
    pairs: Dataset, indices: Iterable[int] | None = None
) -> Iterator[AnnotatedImage]:
    """Read the pairs of a data set, all of them or those with the given indices."""
    for index in range(len(pairs)) if indices is None else indices:
        yield AnnotatedImage(index, pairs.paths[index][0].name, *pairs[index])


def evaluate(
    segmenter: ImageSegmenter,
    images: Iterable[AnnotatedImage],
    label_set: LabelSet | None = None,
    progress: Callable[[int], None] | None = None,
    observers: Sequence[Observer] = (),
    gather_others: GatherOthers | None = None,
) -> EvaluationReport:
    """Segment every image at the size of its ground truth and return the scores.

    `progress` is given the number of images done; `observers` see each image. With several
    processes, `images` are this process's part, and `gather_others` completes the report and the
    observers with the parts of the others.

    Raises:
        InputError: there are no images, no pixel has a class, or their classes differ from the
            segmenter's.
        ConfigError: an observer needs logits and the segmenter does not return them.
    """
    wanted = label_set or segmenter.label_set
    if wanted.names != segmenter.label_set.names:
        raise InputError.from_parts(
            f"the true labels are of {wanted.name!r} ({len(wanted)} classes)",
            f"the classes of the weights: {', '.join(segmenter.label_set.names)}",
            "take a data set and weights with the same classes",
        )
    totals = _Totals(ConfusionMatrix(len(wanted)), observers)
    segment_image = _make_segment_function(segmenter, observers)
    for image in images:
        totals.add(segment_image(image))
        if progress is not None:
            progress(totals.images)
    if gather_others is not None:
        for exported in gather_others(totals.export()):
            totals.merge(exported)
    if not totals.images:
        raise InputError.from_parts(
            "there are no images to evaluate", "at least one image with its mask", "check the paths"
        )
    if not totals.matrix.true_pixels.any():
        raise InputError.from_parts(
            f"no pixel of the {totals.images} masks has a class of {wanted.name!r}",
            "masks with the source ids of that label set",
            "name the label set of the masks with --label-set, or correct its source_ids",
        )
    return EvaluationReport.from_matrix(totals.matrix, wanted, totals.images)


@dataclass
class _Totals:
    """The counts over all images, and the observers."""

    matrix: ConfusionMatrix
    observers: Sequence[Observer]
    images: int = 0

    def add(self, image: EvaluatedImage) -> None:
        self.matrix.add(image.truth_HW, image.labels_HW)
        for observer in self.observers:
            observer.add(image)
        self.images += 1

    def export(self) -> tuple[int, np.ndarray, list[Any]]:
        return self.images, self.matrix.cells, [observer.export() for observer in self.observers]

    def merge(self, exported: tuple[int, np.ndarray, list[Any]]) -> None:
        images, cells, parts = exported
        self.images += images
        self.matrix.add_cells(cells)
        for observer, part in zip(self.observers, parts, strict=True):
            observer.merge(part)


def _make_segment_function(
    segmenter: ImageSegmenter, observers: Sequence[Observer]
) -> Callable[[AnnotatedImage], EvaluatedImage]:
    """Return a function that segments an image and computes the maps that the observers need."""
    with_confidence = any(observer.needs_confidence for observer in observers)
    with_logits = any(observer.needs_logits for observer in observers)
    if with_logits and not isinstance(segmenter, LogitsSegmenter):
        raise ConfigError.from_parts(
            f"logits are needed and {type(segmenter).__name__} does not return them",
            "the exact segmenter",
            "evaluate with ExactSegmenter",
        )

    def segment_image(image: AnnotatedImage) -> EvaluatedImage:
        height, width = image.truth_HW.shape
        size = f"{width}x{height}"
        logits_KHW = None
        if with_logits and isinstance(segmenter, LogitsSegmenter):
            found = segmenter.segment_with_logits(
                image.image_HWC, with_confidence, output_size=size
            )
            labels_HW, confidence_HW, logits_KHW = found.labels, found.confidence, found.logits_KHW
        else:
            plain = segmenter.segment(image.image_HWC, with_confidence, output_size=size)
            labels_HW, confidence_HW = plain.labels, plain.confidence
        return EvaluatedImage(
            image.index,
            image.name,
            image.image_HWC,
            image.truth_HW,
            labels_HW,
            confidence_HW,
            logits_KHW,
        )

    return segment_image
