"""The connected regions of a label image, found by runs of equal pixels instead of by pixels.

Shape legend: H rows, W columns; R regions.
"""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, eq=False)
class _Runs:
    """Stretches of equal pixels within a row, in the image's order."""

    labels: np.ndarray
    starts: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    lengths: np.ndarray

    @classmethod
    def split(cls, labels_HW: np.ndarray) -> "_Runs":
        width = labels_HW.shape[1]
        labels = labels_HW.reshape(-1)
        is_start = np.empty(labels.size, bool)
        np.not_equal(labels[1:], labels[:-1], out=is_start[1:])
        is_start[::width] = True
        (starts,) = is_start.nonzero()
        lengths = np.empty_like(starts)
        np.subtract(starts[1:], starts[:-1], out=lengths[:-1])
        lengths[-1] = labels.size - starts[-1]
        rows = starts // width
        return cls(labels.take(starts), starts, rows, starts - rows * width, lengths)

    def sum_pixels(self, values_HW: np.ndarray) -> np.ndarray:
        """Return the sum of uint8 values over each run, by differences of an integral image."""
        # Beyond eight million pixels sums wrap around, and so do differences: back to the run's.
        integral = cv2.integral(values_HW, sdepth=cv2.CV_32S)
        stride = integral.shape[1]
        flat = integral.reshape(-1)
        left = self.starts + self.rows
        right = left + self.lengths
        above = flat[right] - flat[left]
        left += stride
        right += stride
        sums: np.ndarray = flat[right] - flat[left] - above
        return sums


@dataclass(frozen=True, eq=False)
class Regions:
    """Every 8-connected region of labelled pixels, in the order of their first pixels.

    `boxes_R4` are first row, last row, first column, last column; `confidence_sums` is None
    without confidence.
    """

    classes: np.ndarray
    counts: np.ndarray
    boxes_R4: np.ndarray
    centroids_yx: np.ndarray
    confidence_sums: np.ndarray | None
    _shape_hw: tuple[int, int]
    _ids: np.ndarray
    _lengths: np.ndarray

    @classmethod
    def find(cls, labels_HW: np.ndarray, confidence_HW: np.ndarray | None) -> "Regions":
        """Find regions; the greatest id that the labels' type can hold is unlabeled."""
        height, width = labels_HW.shape
        runs = _Runs.split(labels_HW)
        ids, firsts = _number_runs(labels_HW, runs)
        count = len(firsts) + 1
        rows, columns, lengths = runs.rows, runs.columns, runs.lengths
        ends = columns + lengths
        bottom, right = np.zeros((2, count), np.intp)
        left = np.full(count, width)
        # Of the values that are assigned to one place the last one stays.
        bottom[ids] = rows
        np.minimum.at(left, ids, columns)
        np.maximum.at(right, ids, ends)

        def add_up(values: np.ndarray) -> np.ndarray:
            return np.bincount(ids, values, count)[1:]

        counts = add_up(lengths)
        # The columns of a run are (columns + ends - 1) / 2 on average.
        sums_yx = add_up(lengths * rows), add_up(lengths * (columns + ends - 1)) / 2
        return cls(
            runs.labels[firsts],
            counts.astype(np.int64),
            np.stack((rows[firsts], bottom[1:], left[1:], right[1:] - 1), 1),
            (sums_yx / counts).T,
            None if confidence_HW is None else add_up(runs.sum_pixels(confidence_HW)),
            (height, width),
            ids,
            lengths,
        )

    def render_indices(self) -> np.ndarray:
        """Return regions_HW: 1 more than the index of each pixel's region, 0 for unlabeled."""
        return np.repeat(self._ids, self._lengths).reshape(self._shape_hw)


def _number_runs(labels_HW: np.ndarray, runs: _Runs) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 more than the index of each run's region, 0 for unlabeled, and first runs."""
    parents, ones, others = _link_runs(labels_HW.reshape(-1), runs, labels_HW.shape[1])
    first_of_runs = _join_trees(parents, ones, others)
    is_first = first_of_runs == np.arange(len(parents))
    is_first &= runs.labels != np.iinfo(labels_HW.dtype).max
    (firsts,) = is_first.nonzero()
    ids = np.zeros(len(parents), np.intp)
    ids[firsts] = np.arange(1, len(firsts) + 1)
    return ids[first_of_runs], firsts


def _link_runs(
    labels: np.ndarray, runs: _Runs, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a parent for each run, in the row above or itself, and pairs that touch as well.

    Of two runs that touch, the one that starts further left covers the first column of the
    other or the column before that. Nowhere else need links be looked for.
    """
    starts, ids = runs.starts, runs.labels
    is_inner = runs.columns > 0
    second = starts.searchsorted(width)
    last = starts.searchsorted(labels.size - width)
    lower, upper = starts[second:], starts[:last]
    is_above = labels.take(lower - width) == ids[second:]
    is_left_above = labels.take(lower - (width + 1)) == ids[second:]
    is_left_above &= is_inner[second:]
    is_left_below = labels.take(upper + (width - 1)) == ids[:last]
    is_left_below &= is_inner[:last]
    # Where starts lie among the starts of the row below tells which run is above or below.
    numbers = np.arange(len(starts))
    is_start = np.concatenate((starts, starts - width)).argsort(kind="stable") < len(starts)
    above = (~is_start).nonzero()[0] - numbers
    left_below = is_start.nonzero()[0] - numbers
    (children,) = (is_above | is_left_above).nonzero()
    above = above[second:][children]
    above -= 1
    above -= ~is_above[children]
    (ones,) = is_left_below.nonzero()
    others = left_below[ones]
    others -= 1
    parents = numbers
    parents[others] = ones
    parents[children + second] = above
    return parents, ones, others


def _join_trees(parents: np.ndarray, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the first member of each member's group, of trees and the pairs that join them.

    No parent comes after its child.
    """
    roots = _find_roots(parents)
    while True:
        ones, others = roots[ones], roots[others]
        (apart,) = (ones != others).nonzero()
        if not len(apart):
            return roots
        ones, others = ones[apart], others[apart]
        np.minimum.at(roots, np.maximum(ones, others), np.minimum(ones, others))
        roots = _find_roots(roots)


def _find_roots(parents: np.ndarray) -> np.ndarray:
    while True:
        nearer = parents[parents]
        nearer = nearer[nearer]
        parents = nearer[nearer]
        if (parents == nearer).all():
            return parents
