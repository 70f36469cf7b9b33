"""The interface of data sets: pairs of image and labels by index."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from proxia_segmentation_ros.labels import LabelSet

Pair: TypeAlias = tuple[np.ndarray, np.ndarray]
PathPair: TypeAlias = tuple[Path, Path]


class FocusedPair(NamedTuple):
    """A pair and, optionally, the point (x, y) in pixels that its crop must contain."""

    image_HWC: np.ndarray
    labels_HW: np.ndarray
    focus_xy: tuple[int, int] | None = None


class Dataset(Protocol):
    """Pairs of image and labels in a fixed order."""

    @property
    def name(self) -> str:
        """Return the name of the data set, for messages."""

    @property
    def paths(self) -> Sequence[PathPair]:
        """Return (image, mask) of every pair, in the order of the indices."""

    @property
    def label_set(self) -> LabelSet:
        """Return the classes of the label ids."""

    @property
    def is_coarse(self) -> bool:
        """Whether the labels are coarse outlines or predictions of a network."""

    @property
    def label_rules(self) -> Mapping[str, object]:
        """Return the settings besides the files that the labels depend on."""

    def __len__(self) -> int:
        """Return the number of pairs."""

    def __getitem__(self, index: int) -> Pair:
        """Return (image_HWC uint8 RGB, labels_HW) of one pair."""

    def read_labels(self, index: int) -> np.ndarray:
        """Return labels_HW of one pair without reading its image."""

    def list_label_files(self, index: int) -> Sequence[Path]:
        """Return every file that the labels of one pair are read from."""
