"""Score a segmenter on images with true labels, through the backend that robots run."""

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.evaluation.boundary import BoundaryScore
from proxia_segmentation_ros.evaluation.metrics import ConfusionMatrix
from proxia_segmentation_ros.evaluation.report import EvaluationReport
from proxia_segmentation_ros.labels import LabelSet


class _Labelled(Protocol):
    @property
    def labels(self) -> np.ndarray: ...


class ImageSegmenter(Protocol):
    """The part of `inference.Segmenter` that is scored."""

    @property
    def label_set(self) -> LabelSet: ...

    def segment(self, image_HWC: np.ndarray, *, output_size: str = "input") -> _Labelled:
        """Label one RGB image."""


def evaluate(
    segmenter: ImageSegmenter,
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    label_set: LabelSet | None = None,
    progress: Callable[[int], None] | None = None,
    boundary: BoundaryScore | None = None,
) -> EvaluationReport:
    """Label every image of `pairs` (image_HWC RGB, labels_HW) at the size of its true labels.

    `progress` gets the number of images done; `boundary` counts their outlines.

    Raises:
        InputError: there are no pairs, or the true labels' classes are not the segmenter's.
    """
    wanted = label_set or segmenter.label_set
    if wanted.names != segmenter.label_set.names:
        raise InputError.from_parts(
            f"the true labels are of {wanted.name!r} ({len(wanted)} classes)",
            f"the classes of the weights: {', '.join(segmenter.label_set.names)}",
            "take a data set, or weights, with the other's classes",
        )
    matrix = ConfusionMatrix(len(wanted))
    images = 0
    for image_HWC, truth_HW in pairs:
        height, width = truth_HW.shape
        result = segmenter.segment(image_HWC, output_size=f"{width}x{height}")
        matrix.add(truth_HW, result.labels)
        if boundary is not None:
            boundary.add(truth_HW, result.labels)
        images += 1
        if progress is not None:
            progress(images)
    if not images:
        raise InputError.from_parts(
            "there are no images to evaluate", "at least one image with its mask", "check the paths"
        )
    return EvaluationReport.from_matrix(matrix, wanted, images)
