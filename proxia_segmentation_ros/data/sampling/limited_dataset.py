"""A data set limited to its first pairs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from proxia_segmentation_ros.data.dataset import Dataset, Pair, PathPair
from proxia_segmentation_ros.labels import LabelSet


class LimitedDataset:
    """The first `count` pairs of a data set; the rest is never read.

    It lists only its own label files, so its centroids are cached apart from those of the whole.
    """

    def __init__(self, pairs: Dataset, count: int) -> None:
        self._pairs = pairs
        self.paths: Sequence[PathPair] = pairs.paths[:count]

    @property
    def name(self) -> str:
        """Return the name of the data set."""
        return self._pairs.name

    @property
    def label_set(self) -> LabelSet:
        """Return the classes of the data set."""
        return self._pairs.label_set

    @property
    def is_coarse(self) -> bool:
        """Whether the labels are coarse."""
        return self._pairs.is_coarse

    @property
    def label_rules(self) -> Mapping[str, object]:
        """Return the settings besides the files that the labels depend on."""
        return self._pairs.label_rules

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Pair:
        """Return one pair."""
        return self._pairs[range(len(self))[index]]

    def read_labels(self, index: int) -> np.ndarray:
        """Return labels_HW of one pair without reading its image."""
        return self._pairs.read_labels(range(len(self))[index])

    def list_label_files(self, index: int) -> Sequence[Path]:
        """Return every file that the labels of one pair are read from."""
        return self._pairs.list_label_files(range(len(self))[index])
