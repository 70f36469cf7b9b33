"""The label rule as an OpenVINO graph: logits_NKHW in, class ids at the output size out.

Shape legend: N images (always 1 here), K classes, H rows, W columns.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from typing_extensions import Self

from proxia_segmentation_ros.config import SizeHW

PIXEL_MAX = 255.0
FLOAT_BYTES = 4
# What two cores of today have for themselves. More bands are no faster and take longer to compile,
# for which the first frame waits.
BAND_BYTES = 1536 * 1024
MAX_BANDS = 24
# A float32 holds exp(-87) and no less: where every class was fainter, none would be the top one.
# Two neighbours would have to be as sure of different classes as no network is, unless a small
# temperature makes them.
MIN_LOGIT = -86.0
MIN_TEMPERATURE = 0.5
MAX_CLASSES_ADDED = 20
# Most of a matrix that blends columns is 0: products of such parts leave most of it out.
BLOCK_COLUMNS = 32
# Rows made for nothing where sources have unlike numbers of rows cost up to this share.
MAX_PADDED_ROWS = 0.25


def build_argmax_graph(
    logits_shape: tuple[int, int, int, int],
    output_hw: SizeHW,
    *,
    with_confidence: bool,
    temperature: float,
    unlabeled_id: int,
) -> ov.Model:
    """Return a graph of input `logits` and output ids_N1HW (int32).

    With confidence it has a second input, the least probability of a labelled pixel, shape
    (1,), and a second output, confidence_N1HW (uint8, 0..255).
    """
    logits = ops.parameter(list(logits_shape), np.float32, name="logits")
    least = ops.parameter([1], np.float32, name="min_confidence")
    shifted = _subtract_max(logits, temperature)
    is_exponential = with_confidence and temperature >= MIN_TEMPERATURE
    if is_exponential:
        shifted = ops.maximum(shifted, np.float32(MIN_LOGIT))
    wide = _interpolate_columns(shifted, output_hw[1])
    blend = _RowInterpolation.plan(logits_shape[2], output_hw[0])
    ids_of_bands, confidences_of_bands = [], []
    for band in blend.split(logits_shape[1] * output_hw[1] * FLOAT_BYTES):
        values = _interpolate_rows(wide, blend, band)
        if is_exponential:
            # Of what grows with the logits the largest is the same: one pass less over all.
            values = ops.exp(values)
        values = _flatten_rows(values)
        top = ops.topk(values, np.int32(1), 1, "max", "none", index_element_type="i32")
        ids = top.output(1)
        if with_confidence:
            probability = _compute_probability(values, top.output(0), is_exponential)
            ids = ops.select(ops.greater_equal(probability, least), ids, np.int32(unlabeled_id))
            bytes_ = ops.round(ops.multiply(probability, np.float32(PIXEL_MAX)), "half_to_even")
            confidences_of_bands.append(ops.convert(bytes_, np.uint8))
        ids_of_bands.append(ids)
    if not with_confidence:
        return ov.Model([blend.stack(ids_of_bands)], [logits], "labels")
    outputs = [blend.stack(ids_of_bands), blend.stack(confidences_of_bands)]
    return ov.Model(outputs, [logits, least], "labels_and_confidence")


def _compute_probability(values: ov.Node, highest: ov.Node, is_exponential: bool) -> ov.Node:
    if not is_exponential:
        values, highest = ops.exp(ops.subtract(values, highest)), ops.constant(np.float32(1))
    return ops.divide(highest, _sum_over_classes(values))


def _sum_over_classes(values: ov.Node) -> ov.Node:
    """Add a few classes one by one: OpenVINO makes it one pass with the division that follows."""
    if values.shape[1] > MAX_CLASSES_ADDED:
        return ops.reduce_sum(values, np.int32(1), keep_dims=True)
    sums = ops.split(values, np.int32(1), values.shape[1]).outputs()
    while len(sums) > 1:
        pairs = zip(sums[::2], sums[1::2], strict=False)
        unpaired = sums[-1:] if len(sums) % 2 else []
        sums = [ops.add(one, other).output(0) for one, other in pairs] + unpaired
    return sums[0]


def _subtract_max(logits: ov.Node, temperature: float) -> ov.Node:
    """Make each pixel's top class 0 and the others less, so that exponentials can't overflow.

    A shift that all classes share changes neither ids nor probabilities, nor do blends of it.
    """
    shifted = ops.subtract(logits, ops.reduce_max(logits, np.int32(1), keep_dims=True))
    return ops.multiply(shifted, np.float32(1 / temperature))


@dataclass(frozen=True, eq=False)
class _RowInterpolation:
    """Output rows by the pair of source rows that they lie between, as many for each pair.

    `upper` and `lower` are the pairs, of `weights_PR` (the lower one's share) for R rows each;
    `pick` are the output's rows among all of these.
    """

    upper: np.ndarray
    lower: np.ndarray
    weights_PR: np.ndarray
    pick: np.ndarray

    @classmethod
    def plan(cls, rows: int, height: int) -> Self:
        upper, lower, weight = compute_interpolation(rows, height)
        # Before the middle of the first row there is that row alone: a pair of its own, as after
        # the last one. With the pair below it would be half as many again as any other.
        is_above = (2 * np.arange(height) + 1) * rows < height
        pairs, first, pair_of, counts = np.unique(
            np.where(is_above, -1, upper),
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        most = counts.max()
        if len(pairs) * most > (1 + MAX_PADDED_ROWS) * height:
            return cls(upper, lower, weight[:, None], np.arange(height))
        rank = np.arange(height) - first[pair_of]
        weights_PR = np.zeros((len(pairs), most), np.float32)
        weights_PR[pair_of, rank] = weight
        return cls(upper[first], lower[first], weights_PR, pair_of * most + rank)

    def split(self, row_bytes: int) -> list[slice]:
        """Return bands of pairs whose logits stay in the cache from one operation to the next.

        Over the whole image every operation would fetch and store megabytes: half of the time.
        """
        bands = -(-self.weights_PR.size * row_bytes // BAND_BYTES)
        count = min(bands, MAX_BANDS, len(self.upper))
        edges = np.linspace(0, len(self.upper), count + 1).astype(int).tolist()
        return [slice(top, bottom) for top, bottom in pairwise(edges)]

    def stack(self, bands: list[ov.Node]) -> ov.Node:
        """Return the output's rows."""
        stacked = bands[0] if len(bands) == 1 else ops.concat(bands, 2)
        if np.array_equal(self.pick, np.arange(self.weights_PR.size)):
            return stacked
        return ops.gather(stacked, self.pick.astype(np.int32), np.int32(2))


def _interpolate_columns(logits: ov.Node, width: int) -> ov.Node:
    """Blend columns by products with matrices of weights: half the time of Interpolate."""
    columns = logits.shape[3]
    if columns == width:
        return logits
    left, right, weight = compute_interpolation(columns, width)
    parts = []
    for targets in np.array_split(np.arange(width), -(-columns // BLOCK_COLUMNS)):
        if not len(targets):
            continue
        sources = slice(left[targets[0]], right[targets[-1]] + 1)
        matrix = np.zeros((sources.stop - sources.start, len(targets)), np.float32)
        places = np.arange(len(targets))
        matrix[left[targets] - sources.start, places] += 1 - weight[targets]
        matrix[right[targets] - sources.start, places] += weight[targets]
        block = _slice_or_gather(logits, np.arange(sources.start, sources.stop), 3)
        parts.append(ops.matmul(block, ops.constant(matrix), False, False))
    return parts[0] if len(parts) == 1 else ops.concat(parts, 3)


def _interpolate_rows(wide: ov.Node, blend: _RowInterpolation, band: slice) -> ov.Node:
    """Return the band's rows as (N, K, pairs, rows of a pair, W)."""
    weights = blend.weights_PR[band]
    upper = ops.unsqueeze(_slice_or_gather(wide, blend.upper[band], 2), np.int64(3))
    if weights.shape[1] == 1 and not weights.any():
        return upper
    lower = ops.unsqueeze(_slice_or_gather(wide, blend.lower[band], 2), np.int64(3))
    return ops.add(upper, ops.multiply(ops.subtract(lower, upper), weights[None, None, :, :, None]))


def _flatten_rows(interpolated: ov.Node) -> ov.Node:
    images, classes, pairs, rows, width = interpolated.shape
    shape = np.array([images, classes, pairs * rows, width], np.int64)
    return ops.reshape(interpolated, shape, special_zero=False)


def _slice_or_gather(values: ov.Node, indices: np.ndarray, axis: int) -> ov.Node:
    if len(indices) == values.shape[axis] and np.array_equal(indices, np.arange(len(indices))):
        return values
    if (np.diff(indices) == 1).all():
        start, stop = int(indices[0]), int(indices[-1]) + 1
        edges = (np.array([one], np.int64) for one in (start, stop, 1, axis))
        return ops.slice(values, *edges)
    return ops.gather(values, indices.astype(np.int32), np.int32(axis))


def compute_interpolation(rows: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the upper and lower source row of every output row, and the lower one's weight.

    Of columns it tells the same.
    """
    centre = np.maximum((np.arange(height) + 0.5) * rows / height - 0.5, 0)
    upper = np.minimum(centre.astype(np.int32), rows - 1)
    lower = np.minimum(upper + 1, rows - 1)
    return upper, lower, (centre - upper).astype(np.float32)
