"""The images with the lowest mean IoU, as thumbnails with ground truth and prediction.

Shape legend: H rows, W columns, C colour channels (RGB).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from proxia_segmentation_ros.evaluation.metrics import ConfusionMatrix
from proxia_segmentation_ros.evaluation.observer import EvaluatedImage
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.render import colorize, draw_errors

# Thumbnails fit into a square of this side, to keep the page small.
SIDE = 480
JPEG = (".jpg", (cv2.IMWRITE_JPEG_QUALITY, 80))
# Without chroma subsampling, which blurs red on grey.
SHARP_JPEG = (
    ".jpg",
    (
        *(cv2.IMWRITE_JPEG_QUALITY, 70),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ),
)
PNG = (".png", (cv2.IMWRITE_PNG_COMPRESSION, 9))


@dataclass(frozen=True, order=True)
class WorstImage:
    """An image with its scores and thumbnails: JPEG, and PNG for class colours.

    `mean_iou` is over the classes in the ground truth: otherwise a few stray pixels of another
    class would count as much as a whole class that was missed.
    """

    mean_iou: float
    index: int
    name: str
    pixel_accuracy: float
    image_jpeg: bytes
    truth_png: bytes
    prediction_png: bytes
    errors_jpeg: bytes


class WorstImages:
    """Keeps the thumbnails of the images with the lowest mean IoU.

    Of equal images the one with the smaller index comes first, so that the choice does not depend
    on the number of processes.
    """

    needs_confidence = False
    needs_logits = False

    def __init__(self, label_set: LabelSet, most: int) -> None:
        self._label_set = label_set
        self._most = most
        self._kept: list[WorstImage] = []

    @property
    def kept(self) -> tuple[WorstImage, ...]:
        """The kept images, worst first."""
        return tuple(self._kept)

    def add(self, image: EvaluatedImage) -> None:
        """Keep an image if it is among the worst so far and has ground truth.

        Raises:
            InputError: truth and labels differ in shape.
        """
        matrix = ConfusionMatrix(len(self._label_set))
        matrix.add(image.truth_HW, image.labels_HW)
        mean_iou = matrix.mean_iou(only_true_classes=True)
        # Comparing with 0 is false for NaN, an image without ground truth.
        if self._most and mean_iou >= 0 and self._is_among_worst(mean_iou, image.index):
            pictures = draw_pictures(
                image.image_HWC, image.truth_HW, image.labels_HW, self._label_set
            )
            accuracy = matrix.pixel_accuracy()
            self.merge([WorstImage(mean_iou, image.index, image.name, accuracy, *pictures)])

    def export(self) -> tuple[WorstImage, ...]:
        """Return the kept images."""
        return self.kept

    def merge(self, exported: Iterable[WorstImage]) -> None:
        """Keep the worst of these images and those kept so far."""
        self._kept = sorted([*self._kept, *exported])[: self._most]

    def to_dict(self, class_names: Sequence[str]) -> dict[str, Any]:  # noqa: ARG002
        """Return names and scores for JSON, without pictures."""
        return {
            "worst_images": [
                {
                    "index": image.index,
                    "name": image.name,
                    "mean_iou": image.mean_iou,
                    "pixel_accuracy": image.pixel_accuracy,
                }
                for image in self._kept
            ]
        }

    def to_text(self) -> str:
        """Return an empty text: the images are only shown on the page."""
        return ""

    def _is_among_worst(self, mean_iou: float, index: int) -> bool:
        if len(self._kept) < self._most:
            return True
        last = self._kept[-1]
        return (mean_iou, index) < (last.mean_iou, last.index)


def draw_pictures(
    image_HWC: np.ndarray, truth_HW: np.ndarray, labels_HW: np.ndarray, label_set: LabelSet
) -> tuple[bytes, bytes, bytes, bytes]:
    """Return image, ground truth, prediction and errors as encoded files of the same size."""
    size_wh = _choose_size(truth_HW)
    small_HWC = cv2.resize(image_HWC, size_wh, interpolation=cv2.INTER_AREA)
    truth_HW = _shrink(truth_HW, size_wh, label_set)
    labels_HW = _shrink(labels_HW, size_wh, label_set)
    is_known_HW = truth_HW != label_set.unlabeled_id
    is_wrong_HW = is_known_HW & (truth_HW != labels_HW)
    return (
        _encode(small_HWC, *JPEG),
        _encode(colorize(truth_HW, label_set), *PNG),
        _encode(colorize(labels_HW, label_set), *PNG),
        _encode(draw_errors(small_HWC, is_wrong_HW, is_known_HW), *SHARP_JPEG),
    )


def _choose_size(truth_HW: np.ndarray) -> tuple[int, int]:
    height, width = truth_HW.shape
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shrink(labels_HW: np.ndarray, size_wh: tuple[int, int], label_set: LabelSet) -> np.ndarray:
    """Return the ids at the thumbnail's size, in the dtype of the label set."""
    is_class_HW = (labels_HW >= 0) & (labels_HW < len(label_set))
    ids_HW = np.where(is_class_HW, labels_HW, label_set.unlabeled_id).astype(label_set.label_dtype)
    return cv2.resize(ids_HW, size_wh, interpolation=cv2.INTER_NEAREST)


def _encode(rgb_HWC: np.ndarray, suffix: str, options: tuple[int, ...]) -> bytes:
    bgr_HWC = cv2.cvtColor(rgb_HWC, cv2.COLOR_RGB2BGR)
    return cv2.imencode(suffix, bgr_HWC, options)[1].tobytes()
