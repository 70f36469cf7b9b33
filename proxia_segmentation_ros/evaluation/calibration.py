"""Calibration of confidences: expected calibration error (ECE) and reliability diagram.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.evaluation.observer import EvaluatedImage

BINS = 15
# Confidences are summed as integers, so that sums do not depend on the order of images.
STEPS = 65535
STEPS_OF_8_BITS = STEPS // 255


@dataclass(frozen=True)
class ReliabilityBin:
    """The pixels whose confidence is in one bin, with their mean confidence and accuracy."""

    low: float
    high: float
    pixels: int
    confidence: float
    accuracy: float


class Calibration:
    """Pixel counts by confidence, in 15 bins of equal width, over pixels with a true class.

    Pixels predicted as unlabeled are not counted. The int64 columns of `table`, a row for each bin,
    are: pixels, correct pixels, and the sum of confidences in steps of 1/65535.
    """

    needs_confidence = True
    needs_logits = False

    def __init__(self, num_classes: int) -> None:
        self._num_classes = num_classes
        self.table = np.zeros((BINS, 3), np.int64)

    def add(self, image: EvaluatedImage) -> None:
        """Count the pixels of an image.

        Raises:
            InputError: the segmenter returned no confidence.
        """
        if image.confidence_HW is None:
            raise InputError.from_parts(
                f"{image.name!r} was labelled without confidence",
                "a confidence for each pixel",
                "evaluate with a segmenter that computes it",
            )
        self.count(image.truth_HW, image.labels_HW, image.confidence_HW)

    def export(self) -> np.ndarray:
        """Return the table."""
        return self.table.copy()

    def merge(self, exported: np.ndarray) -> None:
        """Add the table of another process."""
        self.table += exported

    def count(
        self, truth_HW: np.ndarray, predicted_HW: np.ndarray, confidence_HW: np.ndarray
    ) -> None:
        """Count pixels; confidence is 0..1, or 0..255 if it is uint8.

        Raises:
            InputError: the three differ in shape, or a confidence is out of its range.
        """
        if not truth_HW.shape == predicted_HW.shape == confidence_HW.shape:
            raise InputError.from_parts(
                f"truth, prediction and confidence are {truth_HW.shape}, {predicted_HW.shape} and "
                f"{confidence_HW.shape}",
                "one shape",
                "predict at the size of the true labels",
            )
        is_counted = self._has_class(truth_HW) & self._has_class(predicted_HW)
        truth, predicted = truth_HW[is_counted], predicted_HW[is_counted]
        steps = _to_steps(confidence_HW[is_counted])
        # A bin includes its upper edge, so a confidence of 1 is in the last bin.
        bins = np.clip(-(-steps * BINS // STEPS) - 1, 0, BINS - 1)
        is_right = (truth == predicted).astype(np.int64)
        # bincount sums weights in float64, which is exact for integers up to 2**53.
        for column, weights in enumerate((None, is_right, steps)):
            self.table[:, column] += np.bincount(bins, weights, BINS).astype(np.int64)

    @property
    def pixels(self) -> int:
        """Number of pixels counted."""
        return int(self.table[:, 0].sum())

    @property
    def bins(self) -> list[ReliabilityBin]:
        """The bins that contain pixels, by increasing confidence."""
        rows = enumerate(self.table.tolist())
        return [
            ReliabilityBin(
                low=index / BINS,
                high=(index + 1) / BINS,
                pixels=pixels,
                confidence=steps / STEPS / pixels,
                accuracy=right / pixels,
            )
            for index, (pixels, right, steps) in rows
            if pixels
        ]

    def expected_error(self) -> float:
        """Mean of |confidence - accuracy| over bins, weighted by pixels (ECE); NaN without any."""
        if not self.pixels:
            return float("nan")
        gaps = (abs(part.confidence - part.accuracy) * part.pixels for part in self.bins)
        return sum(gaps) / self.pixels

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:  # noqa: ARG002
        """Return the results for JSON; NaN becomes None."""
        error = self.expected_error()
        return {
            "expected_calibration_error": None if math.isnan(error) else error,
            "reliability_bins": [asdict(part) for part in self.bins],
        }

    def to_text(self) -> str:
        """Return the result as a line of text."""
        return f"expected calibration error  {self.expected_error():.4f}"

    def _has_class(self, labels_HW: np.ndarray) -> np.ndarray:
        has_class_HW: np.ndarray = (labels_HW >= 0) & (labels_HW < self._num_classes)
        return has_class_HW


def _to_steps(confidence: np.ndarray) -> np.ndarray:
    if confidence.dtype == np.uint8:
        return confidence.astype(np.int64) * STEPS_OF_8_BITS
    # Negated, so that NaN is refused too.
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise InputError.from_parts(
            f"confidences lie from {confidence.min()} to {confidence.max()}",
            "0 to 1, or uint8",
            "take the probability of the most probable class",
        )
    steps: np.ndarray = np.rint(confidence.astype(np.float64) * STEPS).astype(np.int64)
    return steps
