"""Argmax post-processing of very large images in strips of rows, with one graph for all strips.

`argmax.py` compiles a graph for each output size, whose memory grows with the image: 5700x5700
pixels took 450 MB. This graph has the size of one strip and works for any number of rows. Which
rows of the logits a strip is interpolated from, and their weights, are inputs of the graph.

Shape legend: K classes, h and w logits, H and W output, B source rows of a strip, R rows of it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from typing_extensions import Self

from proxia_segmentation_ros.backends.openvino.argmax import (
    MIN_LOGIT,
    MIN_TEMPERATURE,
    compute_interpolation,
    find_class,
    interpolate_columns,
    subtract_max,
)
from proxia_segmentation_ros.config import SizeHW

FLOAT_BYTES = 4
# Logits of a strip; calls with less are mostly overhead, more would not stay in the L3 cache.
STRIP_BYTES = 6 * 2**20


@dataclass(frozen=True, eq=False)
class StripPlan:
    """How H output rows follow from h rows of logits, in strips of R rows.

    `upper_H`, `lower_H` and `weight_H` are source rows and the weight of the lower one;
    `source_rows` is B, the largest number of source rows that a strip needs.
    """

    rows: int
    source_rows: int
    upper_H: np.ndarray
    lower_H: np.ndarray
    weight_H: np.ndarray

    @classmethod
    def make(cls, logits_shape: tuple[int, int, int, int], output_hw: SizeHW) -> Self:
        """Plan for logits (1, K, h, w) and an output of H x W pixels."""
        _, classes, source_height, _ = logits_shape
        height, width = output_hw
        rows = max(1, min(height, STRIP_BYTES // (classes * width * FLOAT_BYTES)))
        upper_H, lower_H, weight_H = compute_interpolation(source_height, height)
        firsts = np.arange(0, height, rows)
        lasts = np.minimum(firsts + rows, height) - 1
        source_rows = int((lower_H[lasts] - upper_H[firsts]).max()) + 1
        return cls(rows, source_rows, upper_H, lower_H, weight_H)


def build_strip_graph(
    logits_shape: tuple[int, int, int, int],
    width: int,
    plan: StripPlan,
    *,
    with_confidence: bool,
    temperature: float,
    unlabeled_id: int,
) -> ov.Model:
    """Return the graph from source rows (1, K, B, w) to ids (int32, 1 x 1 x R x W).

    Further inputs: upper and lower source row (int32, R) and weight of the lower one (R). With
    confidence also the minimum probability, shape (1,), and a second output (uint8).
    """
    _, classes, _, columns = logits_shape
    logits = ops.parameter([1, classes, plan.source_rows, columns], np.float32, name="logits")
    upper = ops.parameter([plan.rows], np.int32, name="upper")
    lower = ops.parameter([plan.rows], np.int32, name="lower")
    weight = ops.parameter([plan.rows], np.float32, name="weight")
    least = ops.parameter([1], np.float32, name="min_confidence")
    shifted = subtract_max(logits, temperature)
    is_exponential = with_confidence and temperature >= MIN_TEMPERATURE
    if is_exponential:
        shifted = ops.maximum(shifted, np.float32(MIN_LOGIT))
    wide = interpolate_columns(shifted, width)
    above = ops.gather(wide, upper, np.int32(2))
    below = ops.gather(wide, lower, np.int32(2))
    weight_R1 = ops.unsqueeze(weight, np.int64(1))
    values = ops.add(above, ops.multiply(ops.subtract(below, above), weight_R1))
    if is_exponential:
        values = ops.exp(values)
    ids, confidence = find_class(
        values, least if with_confidence else None, unlabeled_id, is_exponential=is_exponential
    )
    inputs = [logits, upper, lower, weight]
    if confidence is None:
        return ov.Model([ids], inputs, "labels_of_a_strip")
    return ov.Model([ids, confidence], [*inputs, least], "labels_and_confidence_of_a_strip")


class StripRequest:
    """Runs the strip graph over an image; one call at a time."""

    def __init__(
        self,
        request: Any,
        plan: StripPlan,
        output_hw: SizeHW,
        label_dtype: type[np.generic],
    ) -> None:
        self._request = request
        self._plan = plan
        self._output_hw = output_hw
        self._label_dtype = label_dtype
        shape = request.get_input_tensor(0).shape
        self._block = np.zeros(tuple(shape), np.float32)
        self._rows = [np.zeros(plan.rows, kind) for kind in (np.int32, np.int32, np.float32)]
        self._least = np.zeros(1, np.float32)
        for index, values in enumerate((self._block, *self._rows)):
            request.set_input_tensor(index, ov.Tensor(values, shared_memory=True))

    def run(
        self, logits_1Khw: ov.Tensor, with_confidence: bool, min_confidence: float
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return labels_HW and confidence_HW; raises RuntimeError if OpenVINO fails."""
        if with_confidence:
            self._least[0] = min_confidence
            self._request.set_input_tensor(4, ov.Tensor(self._least, shared_memory=True))
        height = self._output_hw[0]
        source_1Khw = logits_1Khw.data
        labels_HW = np.empty(self._output_hw, self._label_dtype)
        confidence_HW = np.empty(self._output_hw, np.uint8) if with_confidence else None
        for top in range(0, height, self._plan.rows):
            bottom = min(top + self._plan.rows, height)
            self._fill(source_1Khw, top, bottom)
            self._request.infer()
            labels_HW[top:bottom] = self._view_output(0)[: bottom - top]
            if confidence_HW is not None:
                confidence_HW[top:bottom] = self._view_output(1)[: bottom - top]
        return labels_HW, confidence_HW

    def _fill(self, source_1Khw: np.ndarray, top: int, bottom: int) -> None:
        plan, count = self._plan, bottom - top
        first = min(int(plan.upper_H[top]), source_1Khw.shape[2] - plan.source_rows)
        self._block[:] = source_1Khw[:, :, first : first + plan.source_rows]
        for values, all_H in zip(
            self._rows, (plan.upper_H - first, plan.lower_H - first, plan.weight_H), strict=True
        ):
            # Rows below the image repeat the last source row; they are thrown away.
            values[:count], values[count:] = all_H[top:bottom], 0

    def _view_output(self, index: int) -> np.ndarray:
        pixels_RW: np.ndarray = self._request.get_output_tensor(index).data[0, 0]
        return pixels_RW
