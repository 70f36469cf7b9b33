"""Boundary quality: boundary precision, recall and F-score of every class.

The F-score is that of Csurka et al. 2013 ("What is a good evaluation measure for semantic
segmentation?", BMVC), with pixel counts added over all images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from proxia_segmentation_ros.errors import ConfigError, InputError
from proxia_segmentation_ros.evaluation.observer import EvaluatedImage

MAX_TOLERANCE_PX = 1000


@dataclass(frozen=True)
class Tolerance:
    """The largest distance at which a boundary pixel counts as found.

    In pixels from 1 on; below 1 a share of the image's diagonal, rounded up to whole pixels.
    """

    value: float

    def __post_init__(self) -> None:
        if not 0 < self.value <= MAX_TOLERANCE_PX:
            raise ConfigError.from_parts(
                f"boundary tolerance is {self.value}",
                f"a share of the diagonal above 0 and below 1, or 1 to {MAX_TOLERANCE_PX} pixels",
                "write for example 0.00375 or 3",
            )

    def to_pixels(self, height: int, width: int) -> float:
        """Return the distance in pixels for an image of this size."""
        return self.value if self.value >= 1 else math.ceil(self.value * math.hypot(height, width))


class BoundaryScore:
    """Counts of boundary pixels by class, and of those that match the other side's boundary.

    A pixel is on the boundary of its class if one of its four neighbours has another class. The
    edge of the image and pixels without a true class make no boundary. The int64 columns of
    `table` are, summed over images: predicted boundary pixels, those near a true one, true boundary
    pixels, those near a predicted one.
    """

    needs_confidence = False
    needs_logits = False

    def __init__(self, num_classes: int, tolerance: Tolerance) -> None:
        self.tolerance = tolerance
        self.table = np.zeros((num_classes, 4), np.int64)

    def add(self, image: EvaluatedImage) -> None:
        """Count the boundaries of an image."""
        self.count(image.truth_HW, image.labels_HW)

    def export(self) -> np.ndarray:
        """Return the table."""
        return self.table.copy()

    def merge(self, exported: np.ndarray) -> None:
        """Add the table of another process."""
        self.table += exported

    def count(self, truth_HW: np.ndarray, predicted_HW: np.ndarray) -> None:
        """Count the boundaries of true and predicted labels.

        Raises:
            InputError: the two differ in shape.
        """
        if truth_HW.shape != predicted_HW.shape:
            raise InputError.from_parts(
                f"true labels are {truth_HW.shape} and predicted labels {predicted_HW.shape}",
                "the same height and width",
                "predict at the size of the true labels",
            )
        classes = len(self.table)
        distance = self.tolerance.to_pixels(*truth_HW.shape)
        has_truth_HW = (truth_HW >= 0) & (truth_HW < classes)
        true_HW = _find_boundaries(truth_HW, has_truth_HW)
        found_HW = _find_boundaries(predicted_HW, has_truth_HW)
        for index in np.union1d(truth_HW[true_HW], predicted_HW[found_HW]):
            if 0 <= index < classes:
                predicted = found_HW & (predicted_HW == index)
                true = true_HW & (truth_HW == index)
                self.table[index] += (
                    predicted.sum(), _count_near(predicted, true, distance),
                    true.sum(), _count_near(true, predicted, distance),
                )  # fmt: skip

    @property
    def precision(self) -> np.ndarray:
        """Share of predicted boundary pixels near a true one, float64 (K,); NaN without any."""
        return _divide(self.table[:, 1], self.table[:, 0])

    @property
    def recall(self) -> np.ndarray:
        """Share of true boundary pixels near a predicted one, float64 (K,); NaN without any."""
        return _divide(self.table[:, 3], self.table[:, 2])

    @property
    def f_score(self) -> np.ndarray:
        """Harmonic mean of both, float64 (K,): 0 if one side has no boundary, NaN if neither."""
        precision, recall = np.nan_to_num(self.precision), np.nan_to_num(self.recall)
        score = np.nan_to_num(_divide(2 * precision * recall, precision + recall))
        is_seen = (self.table[:, 0] + self.table[:, 2]) > 0
        f_score: np.ndarray = np.where(is_seen, score, np.nan)
        return f_score

    def mean_f_score(self) -> float:
        """Mean over the classes with a boundary on either side; NaN without any."""
        f_score = self.f_score
        is_seen = ~np.isnan(f_score)
        return float(f_score[is_seen].mean()) if is_seen.any() else float("nan")

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return the scores for JSON; NaN becomes None."""
        scores = zip(class_names, self.f_score.tolist(), strict=True)
        return {
            "boundary_tolerance": self.tolerance.value,
            "mean_boundary_f_score": _nan_to_none(self.mean_f_score()),
            "boundary_f_score": {name: _nan_to_none(score) for name, score in scores},
        }

    def to_text(self) -> str:
        """Return the scores as a line of text."""
        return f"mean boundary F-score  {self.mean_f_score():.3f}"


def _nan_to_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _find_boundaries(labels_HW: np.ndarray, has_truth_HW: np.ndarray) -> np.ndarray:
    """Return where a pixel and its neighbour have a true class but different labels."""
    boundaries_HW = np.zeros(labels_HW.shape, bool)
    for here, there in (
        (np.s_[1:, :], np.s_[:-1, :]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        differ = labels_HW[here] != labels_HW[there]
        differ &= has_truth_HW[here] & has_truth_HW[there]
        boundaries_HW[here] |= differ
        boundaries_HW[there] |= differ
    return boundaries_HW


def _count_near(pixels_HW: np.ndarray, targets_HW: np.ndarray, max_distance: float) -> int:
    """Return how many of the pixels have a target pixel within the distance."""
    if not pixels_HW.any() or not targets_HW.any():
        return 0
    distance_HW = cv2.distanceTransform(
        (~targets_HW).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    return int((distance_HW[pixels_HW] <= max_distance + 1e-3).sum())


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        quotient: np.ndarray = np.true_divide(part, whole)
    return quotient
