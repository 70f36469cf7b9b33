"""The scores of a data set, as a table and as JSON."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from proxia_segmentation_ros.evaluation.metrics import ConfusionMatrix
from proxia_segmentation_ros.labels import LabelSet

COLUMNS = ("IoU", "precision", "recall", "share")


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """Scores over all images; NaN where a score is undefined.

    `precision` is the share of a class's predicted pixels that are right, `recall` the share of
    its true pixels that are found. `cells` are those of the confusion matrix.
    """

    label_set: str
    class_names: tuple[str, ...]
    images: int
    pixels: int
    mean_iou: float
    pixel_accuracy: float
    mean_accuracy: float
    frequency_weighted_iou: float
    iou: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    true_pixels: tuple[int, ...]
    cells: np.ndarray = field(repr=False, compare=False)

    @classmethod
    def from_matrix(
        cls, matrix: ConfusionMatrix, label_set: LabelSet, images: int
    ) -> "EvaluationReport":
        """Compute the scores of a confusion matrix."""
        return cls(
            label_set=label_set.name,
            class_names=label_set.names,
            images=images,
            pixels=int(matrix.true_pixels.sum()),
            mean_iou=matrix.mean_iou(),
            pixel_accuracy=matrix.pixel_accuracy(),
            mean_accuracy=matrix.mean_accuracy(),
            frequency_weighted_iou=matrix.frequency_weighted_iou(),
            iou=tuple(matrix.iou_per_class().tolist()),
            precision=tuple(matrix.precision_per_class().tolist()),
            recall=tuple(matrix.recall_per_class().tolist()),
            true_pixels=tuple(matrix.true_pixels.tolist()),
            cells=matrix.cells,
        )

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each class in all counted pixels, by ground truth."""
        return tuple(count / self.pixels if self.pixels else math.nan for count in self.true_pixels)

    @property
    def means(self) -> dict[str, float]:
        """The scores over all classes, by their names in the table."""
        return {
            "mean IoU": self.mean_iou,
            "pixel accuracy": self.pixel_accuracy,
            "mean accuracy": self.mean_accuracy,
            "weighted IoU": self.frequency_weighted_iou,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the scores for JSON; NaN becomes None."""
        return {
            "label_set": self.label_set,
            "images": self.images,
            "pixels": self.pixels,
            "mean_iou": _nan_to_none(self.mean_iou),
            "pixel_accuracy": _nan_to_none(self.pixel_accuracy),
            "mean_accuracy": _nan_to_none(self.mean_accuracy),
            "frequency_weighted_iou": _nan_to_none(self.frequency_weighted_iou),
            "iou": self._name(self.iou),
            "precision": self._name(self.precision),
            "recall": self._name(self.recall),
        }

    def to_text(self) -> str:
        """Return a table: a line for each class, then the means."""
        width = max(len("pixel accuracy"), *(len(name) for name in self.class_names))
        lines = [_lay_out("class", COLUMNS, width)]
        rows = zip(self.iou, self.precision, self.recall, self.shares, strict=True)
        for name, row in zip(self.class_names, rows, strict=True):
            lines.append(_lay_out(name, [show_score(value) for value in row], width))
        lines += [_lay_out(name, [show_score(value)], width) for name, value in self.means.items()]
        lines.append(_lay_out("images", [str(self.images)], width))
        return "\n".join(lines)

    def _name(self, values: Sequence[float]) -> dict[str, float | None]:
        return {
            name: _nan_to_none(value) for name, value in zip(self.class_names, values, strict=True)
        }


def show_score(value: float) -> str:
    """Return three decimals, or a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def _lay_out(name: str, values: Sequence[str], width: int) -> str:
    columns = zip(COLUMNS, values, strict=False)
    cells = [f"{value:>{max(6, len(column))}}" for column, value in columns]
    return "  ".join([f"{name:<{width}}", *cells])


def _nan_to_none(value: float) -> float | None:
    return None if math.isnan(value) else value
