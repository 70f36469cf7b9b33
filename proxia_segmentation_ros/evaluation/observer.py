"""What watches an evaluation: it sees every labelled image, and adds up over processes."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class AnnotatedImage:
    """An image with true labels, before it is labelled.

    `index` is its place in the data set and `name` what people call it.
    """

    index: int
    name: str
    image_HWC: np.ndarray
    truth_HW: np.ndarray


@dataclass(frozen=True)
class EvaluatedImage:
    """One image as labelled; all maps have the size of its true labels.

    `image_HWC` is RGB as it was read, of whatever size. `confidence_HW` is uint8, 255 times the
    probability of the label, and `logits_KHW` float32 before any temperature; both are there
    only where an observer needs them.
    """

    index: int
    name: str
    image_HWC: np.ndarray
    truth_HW: np.ndarray
    labels_HW: np.ndarray
    confidence_HW: np.ndarray | None = None
    logits_KHW: np.ndarray | None = None


class Observer(Protocol):
    """Counts or keeps something of every image.

    With several processes each has an observer of its own, which sees a part of the images, in
    the order of their indices. In the end every one merges what the others exported, so that all
    hold the same, as if one had seen everything: add whole numbers, sort lists by index.
    """

    @property
    def needs_confidence(self) -> bool:
        """Whether `confidence_HW` has to be there."""

    @property
    def needs_logits(self) -> bool:
        """Whether `logits_KHW` has to be there: labels then come from the exact segmenter."""

    def add(self, seen: EvaluatedImage) -> None:
        """See one image."""

    def export(self) -> Any:
        """Return everything seen as plain data that can be pickled."""

    def merge(self, exported: Any) -> None:
        """Add what the observer of another process exported."""
