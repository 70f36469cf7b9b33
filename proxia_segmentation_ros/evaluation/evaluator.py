"""Score a segmenter on images with true labels, through the backend that robots run."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.evaluation.metrics import ConfusionMatrix
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


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """Scores over all images; a class that neither side holds has the IoU NaN."""

    label_set: str
    class_names: tuple[str, ...]
    images: int
    pixels: int
    mean_iou: float
    pixel_accuracy: float
    iou: tuple[float, ...]
    accuracy: tuple[float, ...]
    true_pixels: tuple[int, ...]

    @classmethod
    def from_matrix(
        cls, matrix: ConfusionMatrix, label_set: LabelSet, images: int
    ) -> "EvaluationReport":
        """Read the scores off a matrix."""
        return cls(
            label_set=label_set.name,
            class_names=label_set.names,
            images=images,
            pixels=int(matrix.true_pixels.sum()),
            mean_iou=matrix.mean_iou(),
            pixel_accuracy=matrix.pixel_accuracy(),
            iou=tuple(matrix.iou_per_class().tolist()),
            accuracy=tuple(matrix.accuracy_per_class().tolist()),
            true_pixels=tuple(matrix.true_pixels.tolist()),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what goes into JSON; NaN becomes None."""
        return {
            "label_set": self.label_set,
            "images": self.images,
            "pixels": self.pixels,
            "mean_iou": _round(self.mean_iou),
            "pixel_accuracy": _round(self.pixel_accuracy),
            "iou": {
                name: _round(value) for name, value in zip(self.class_names, self.iou, strict=True)
            },
        }

    def to_text(self) -> str:
        """Return a table: a line for each class, then the means."""
        width = max(len("pixel accuracy"), *(len(name) for name in self.class_names))
        lines = [f"{'class':<{width}}  {'IoU':>6}  {'found':>6}  {'share':>6}"]
        rows = zip(self.class_names, self.iou, self.accuracy, self.true_pixels, strict=True)
        for name, iou, accuracy, count in rows:
            share = count / self.pixels if self.pixels else math.nan
            lines.append(f"{name:<{width}}  {_show(iou)}  {_show(accuracy)}  {_show(share)}")
        lines.append(f"{'mean IoU':<{width}}  {_show(self.mean_iou)}")
        lines.append(f"{'pixel accuracy':<{width}}  {_show(self.pixel_accuracy)}")
        lines.append(f"{'images':<{width}}  {self.images:>6}")
        return "\n".join(lines)


def evaluate(
    segmenter: ImageSegmenter,
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    label_set: LabelSet | None = None,
    progress: Callable[[int], None] | None = None,
) -> EvaluationReport:
    """Label every image of `pairs` (image_HWC RGB, labels_HW) at the size of its true labels.

    `progress` gets the number of images done.

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
        images += 1
        if progress is not None:
            progress(images)
    if not images:
        raise InputError.from_parts(
            "there are no images to evaluate", "at least one image with its mask", "check the paths"
        )
    return EvaluationReport.from_matrix(matrix, wanted, images)


def _round(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _show(share: float) -> str:
    return "     -" if math.isnan(share) else f"{share:6.3f}"
