"""The confusion matrix, and the scores computed from it."""

import numpy as np

from proxia_segmentation_ros.errors import InputError


class ConfusionMatrix:
    """Pixel counts by true class (rows) and predicted class (columns).

    A pixel whose true label is outside 0..K-1 is ignored. A pixel with a true class that is
    predicted as unlabeled is a false negative of that class and a false positive of no class.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        # The last column is for pixels predicted as unlabeled.
        self._counts = np.zeros((num_classes, num_classes + 1), np.int64)

    @property
    def counts(self) -> np.ndarray:
        """Counts of pixels with a true and a predicted class, int64 (K, K)."""
        return self._counts[:, :-1].copy()

    @property
    def missed(self) -> np.ndarray:
        """Counts of pixels predicted as unlabeled, by true class, int64 (K,)."""
        return self._counts[:, -1].copy()

    @property
    def true_pixels(self) -> np.ndarray:
        """Counts of pixels by true class, int64 (K,)."""
        totals: np.ndarray = self._counts.sum(axis=1)
        return totals

    @property
    def predicted_pixels(self) -> np.ndarray:
        """Counts of pixels with a true class, by predicted class, int64 (K,)."""
        totals: np.ndarray = self._counts[:, :-1].sum(axis=0)
        return totals

    @property
    def cells(self) -> np.ndarray:
        """All counts, int64 (K, K + 1): `counts` and the column `missed`."""
        return self._counts.copy()

    def add_cells(self, cells: np.ndarray) -> None:
        """Add the `cells` of another matrix of the same classes.

        Raises:
            InputError: their shape or type is that of another matrix.
        """
        if cells.shape != self._counts.shape or cells.dtype != np.int64:
            raise InputError.from_parts(
                f"cells are {cells.dtype} of shape {cells.shape}",
                f"int64 of shape {self._counts.shape}",
                "take them from a matrix of the same classes",
            )
        self._counts += cells

    def add(self, truth_HW: np.ndarray, predicted_HW: np.ndarray) -> None:
        """Count the pixels of one image.

        Raises:
            InputError: the two differ in shape or are not integers.
        """
        if truth_HW.shape != predicted_HW.shape:
            raise InputError.from_parts(
                f"true labels are {truth_HW.shape} and predicted labels {predicted_HW.shape}",
                "the same height and width",
                "predict at the size of the true labels",
            )
        for labels_HW in (truth_HW, predicted_HW):
            if labels_HW.dtype.kind not in "iu":
                raise InputError.from_parts(
                    f"labels are {labels_HW.dtype}", "class ids as integers", "convert them"
                )
        classes = self.num_classes
        truth = truth_HW.reshape(-1).astype(np.int64)
        predicted = predicted_HW.reshape(-1).astype(np.int64)
        is_counted = (truth >= 0) & (truth < classes)
        truth, predicted = truth[is_counted], predicted[is_counted]
        predicted[(predicted < 0) | (predicted >= classes)] = classes
        cells = truth * (classes + 1) + predicted
        self._counts += np.bincount(cells, minlength=self._counts.size).reshape(self._counts.shape)

    def iou_per_class(self) -> np.ndarray:
        """Intersection over union by class, float64 (K,); NaN for classes in neither side."""
        correct = self._counts.diagonal()
        union = self.true_pixels + self.predicted_pixels - correct
        return _divide(correct, union)

    def mean_iou(self, *, only_true_classes: bool = False) -> float:
        """Mean IoU of the classes with true or predicted pixels, or only of those with true pixels.

        NaN when there are none.
        """
        iou = self.iou_per_class()
        is_taken = self.true_pixels > 0 if only_true_classes else ~np.isnan(iou)
        return _average(iou[is_taken])

    def recall_per_class(self) -> np.ndarray:
        """Share of each class's true pixels that are found, float64 (K,); NaN without any."""
        return _divide(self._counts.diagonal(), self.true_pixels)

    def precision_per_class(self) -> np.ndarray:
        """Share of each class's predicted pixels that are right, float64 (K,); NaN without any."""
        return _divide(self._counts.diagonal(), self.predicted_pixels)

    def mean_accuracy(self) -> float:
        """Mean recall of the classes with true pixels; NaN without any."""
        recall = self.recall_per_class()
        is_taken = ~np.isnan(recall)
        return _average(recall[is_taken])

    def frequency_weighted_iou(self) -> float:
        """Mean IoU weighted by true pixels; NaN without any."""
        true_pixels = self.true_pixels
        is_taken = true_pixels > 0
        weighted = self.iou_per_class()[is_taken] * true_pixels[is_taken]
        return float(_divide(weighted.sum(), true_pixels.sum()))

    def pixel_accuracy(self) -> float:
        """Share of correct pixels among all counted pixels; NaN without any."""
        return float(_divide(self._counts.trace(), self._counts.sum()))


def _average(scores: np.ndarray) -> float:
    """Return the mean, summed in order like the benchmark's scripts; NaN without any."""
    return float(scores.cumsum()[-1] / len(scores)) if len(scores) else float("nan")


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        quotient: np.ndarray = np.true_divide(part, whole)
    return quotient
