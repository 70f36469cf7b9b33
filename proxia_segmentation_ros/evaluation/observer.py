"""The interface of observers: they see every evaluated image and merge over processes."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class AnnotatedImage:
    """An image with its ground truth, before it is segmented.

    `index` is its index in the data set, `name` its file name.
    """

    index: int
    name: str
    image_HWC: np.ndarray
    truth_HW: np.ndarray


@dataclass(frozen=True)
class EvaluatedImage:
    """An image with its ground truth and prediction; all maps have the size of the ground truth.

    `image_HWC` is RGB at its own size. `confidence_HW` is uint8, 255 times the probability of the
    label. `logits_KHW` is float32 before division by a temperature. Both are computed only if an
    observer needs them.
    """

    index: int
    name: str
    image_HWC: np.ndarray
    truth_HW: np.ndarray
    labels_HW: np.ndarray
    confidence_HW: np.ndarray | None = None
    logits_KHW: np.ndarray | None = None


class Observer(Protocol):
    """Collects results of every image.

    Each of several processes has its own observer, which sees a part of the images in the order of
    their indices. At the end each observer merges what the others exported, and all must then hold
    the same as if one had seen all images: sum integers, sort lists by index.
    """

    @property
    def needs_confidence(self) -> bool:
        """Whether `confidence_HW` is needed."""

    @property
    def needs_logits(self) -> bool:
        """Whether `logits_KHW` is needed, which only the exact segmenter returns."""

    def add(self, image: EvaluatedImage) -> None:
        """Add the results of an image."""

    def export(self) -> Any:
        """Return all results as plain data that can be pickled."""

    def merge(self, exported: Any) -> None:
        """Add the exported results of another process."""
