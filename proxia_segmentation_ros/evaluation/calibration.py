"""How far a confidence can be believed: expected calibration error and reliability diagram."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.evaluation.observer import EvaluatedImage

BINS = 15
# Confidences are summed as whole numbers, so that sums are the same in any order.
STEPS = 65535
STEPS_OF_8_BITS = STEPS // 255


@dataclass(frozen=True)
class ReliabilityBin:
    """Pixels whose confidence lies in one bin."""

    low: float
    high: float
    pixels: int
    confidence: float
    accuracy: float


class Calibration:
    """Pixel counts by confidence in 15 bins of the same width, over pixels that have a truth.

    A pixel that was predicted as none has no class to be sure of, and counts nowhere. `table`
    holds a row for each bin: pixels, right pixels and the sum of their confidences in steps of
    1/65535, all of them int64.
    """

    needs_confidence = True
    needs_logits = False

    def __init__(self, num_classes: int) -> None:
        self._num_classes = num_classes
        self.table = np.zeros((BINS, 3), np.int64)

    def add(self, seen: EvaluatedImage) -> None:
        """Count the pixels of one image.

        Raises:
            InputError: the segmenter gave no confidence.
        """
        if seen.confidence_HW is None:
            raise InputError.from_parts(
                f"{seen.name!r} was labelled without confidence",
                "a confidence for each pixel",
                "evaluate with a segmenter that gives it",
            )
        self.count(seen.truth_HW, seen.labels_HW, seen.confidence_HW)

    def export(self) -> np.ndarray:
        """Return the table."""
        return self.table.copy()

    def merge(self, exported: np.ndarray) -> None:
        """Add the table of another process."""
        self.table += exported

    def count(
        self, truth_HW: np.ndarray, predicted_HW: np.ndarray, confidence_HW: np.ndarray
    ) -> None:
        """Count some pixels; confidence is 0..1, or 0..255 where it is uint8.

        Raises:
            InputError: the three differ in shape, or a confidence is none.
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
        # The upper edge belongs to a bin: a confidence of 1 lies in the last one.
        bins = np.clip(-(-steps * BINS // STEPS) - 1, 0, BINS - 1)
        is_right = (truth == predicted).astype(np.int64)
        # Weights are float64 in there: whole numbers up to 2**53 are exact.
        for column, weights in enumerate((None, is_right, steps)):
            self.table[:, column] += np.bincount(bins, weights, BINS).astype(np.int64)

    @property
    def pixels(self) -> int:
        """Pixels counted."""
        return int(self.table[:, 0].sum())

    @property
    def bins(self) -> list[ReliabilityBin]:
        """Bins that hold pixels, from the least confident on."""
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
        """Mean distance of confidence from accuracy, weighted by pixels (ECE); NaN without any."""
        if not self.pixels:
            return float("nan")
        gaps = (abs(one.confidence - one.accuracy) * one.pixels for one in self.bins)
        return sum(gaps) / self.pixels

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:  # noqa: ARG002
        """Return what goes into JSON; NaN becomes None."""
        error = self.expected_error()
        return {
            "expected_calibration_error": None if math.isnan(error) else error,
            "reliability_bins": [asdict(one) for one in self.bins],
        }

    def to_text(self) -> str:
        """Return the line that a person reads."""
        return f"expected calibration error  {self.expected_error():.4f}"

    def _has_class(self, labels_HW: np.ndarray) -> np.ndarray:
        has_class_HW: np.ndarray = (labels_HW >= 0) & (labels_HW < self._num_classes)
        return has_class_HW


def _to_steps(confidence: np.ndarray) -> np.ndarray:
    if confidence.dtype == np.uint8:
        return confidence.astype(np.int64) * STEPS_OF_8_BITS
    # Written so that NaN is refused too.
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise InputError.from_parts(
            f"confidences lie from {confidence.min()} to {confidence.max()}",
            "0 to 1, or uint8",
            "take the probability of the most probable class",
        )
    steps: np.ndarray = np.rint(confidence.astype(np.float64) * STEPS).astype(np.int64)
    return steps
