"""Argmax post-processing as an OpenVINO graph: from logits_NKHW to class ids at the output size.

The same result as bilinear interpolation to the output size followed by argmax, and on request the
softmax probability of the class. Interpolate and TopK over whole images are bound by memory: at
1280x720 every operation reads and writes 40 MB. Instead:

1. Subtract each pixel's maximum (and divide by the temperature) at low resolution. A shift that
   all classes share commutes with interpolation and keeps exp() from overflowing.
2. Interpolate columns by products with small blocks of the weight matrix: half the time of
   OpenVINO's Interpolate, whose AVX2 code gathers.
3. Split output rows into bands whose logits stay in a core's L2 cache. In each band, interpolate
   rows, take exp() if confidence is wanted, TopK, and divide by the sum for the probability.
4. Concatenate the bands' ids.

Measured against Interpolate and TopK: columns first 0.70 (docs/decisions/001-openvino-graph.md),
bands a further 0.51 to 0.67 (docs/decisions/007-the-path-around-the-model.md). The graph is
compiled for each output size and kept in memory, never in the cache on disk.

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
# Logits of a band: what the L2 caches of two cores hold. More bands are not faster and take longer
# to compile, which delays the first frame.
BAND_BYTES = 1536 * 1024
MAX_BANDS = 24
# exp() of less than -87 underflows float32 to 0. Were all classes of an interpolated pixel that
# low, argmax would be arbitrary. Only two neighbours with extreme logits for different classes get
# there, which takes a small temperature; exp() is therefore not used below MIN_TEMPERATURE.
MIN_LOGIT = -86.0
MIN_TEMPERATURE = 0.5
MAX_CLASSES_ADDED = 20
# Most of the matrix that interpolates columns is 0. Products of blocks skip most of the zeros.
BLOCK_COLUMNS = 32
# Source rows with fewer output rows than others are padded; this is the largest share of padding.
MAX_PADDED_ROWS = 0.25


def build_argmax_graph(
    logits_shape: tuple[int, int, int, int],
    output_hw: SizeHW,
    *,
    with_confidence: bool,
    temperature: float,
    unlabeled_id: int,
) -> ov.Model:
    """Return the graph from `logits` to ids_N1HW (int32).

    With confidence it has a second input, the minimum probability of a labelled pixel, shape (1,),
    and a second output, confidence_N1HW (uint8, 0..255).
    """
    logits = ops.parameter(list(logits_shape), np.float32, name="logits")
    least = ops.parameter([1], np.float32, name="min_confidence")
    shifted = subtract_max(logits, temperature)
    is_exponential = with_confidence and temperature >= MIN_TEMPERATURE
    if is_exponential:
        shifted = ops.maximum(shifted, np.float32(MIN_LOGIT))
    wide = interpolate_columns(shifted, output_hw[1])
    blend = _RowInterpolation.plan(logits_shape[2], output_hw[0])
    ids_of_bands, confidences_of_bands = [], []
    for band in blend.split(logits_shape[1] * output_hw[1] * FLOAT_BYTES):
        values = _interpolate_rows(wide, blend, band)
        if is_exponential:
            # exp() is monotonic, so TopK may follow it: a pass over the band less than TopK first.
            values = ops.exp(values)
        ids, confidence = find_class(
            _flatten_rows(values),
            least if with_confidence else None,
            unlabeled_id,
            is_exponential=is_exponential,
        )
        ids_of_bands.append(ids)
        if confidence is not None:
            confidences_of_bands.append(confidence)
    if not with_confidence:
        return ov.Model([blend.stack(ids_of_bands)], [logits], "labels")
    outputs = [blend.stack(ids_of_bands), blend.stack(confidences_of_bands)]
    return ov.Model(outputs, [logits, least], "labels_and_confidence")


def find_class(
    values: ov.Node, least: ov.Node | None, unlabeled_id: int, *, is_exponential: bool
) -> tuple[ov.Output, ov.Node | None]:
    """Return the best class of each pixel and, if `least` is given, its probability as a byte.

    Pixels whose probability is below `least` get `unlabeled_id`. `values` are logits (N, K, H, W)
    with a maximum of about 0, or their exponentials.
    """
    top = ops.topk(values, np.int32(1), 1, "max", "none", index_element_type="i32")
    ids = top.output(1)
    if least is None:
        return ids, None
    probability = _compute_probability(values, top.output(0), is_exponential)
    ids = ops.select(ops.greater_equal(probability, least), ids, np.int32(unlabeled_id))
    bytes_ = ops.round(ops.multiply(probability, np.float32(PIXEL_MAX)), "half_to_even")
    return ids, ops.convert(bytes_, np.uint8)


def _compute_probability(values: ov.Node, highest: ov.Node, is_exponential: bool) -> ov.Node:
    if not is_exponential:
        values, highest = ops.exp(ops.subtract(values, highest)), ops.constant(np.float32(1))
    return ops.divide(highest, _sum_over_classes(values))


def _sum_over_classes(values: ov.Node) -> ov.Node:
    """Sum over the classes.

    For a few classes pairwise additions are faster than ReduceSum: OpenVINO fuses them with the
    division that follows into a single pass.
    """
    if values.shape[1] > MAX_CLASSES_ADDED:
        return ops.reduce_sum(values, np.int32(1), keep_dims=True)
    sums = ops.split(values, np.int32(1), values.shape[1]).outputs()
    while len(sums) > 1:
        pairs = zip(sums[::2], sums[1::2], strict=False)
        unpaired = sums[-1:] if len(sums) % 2 else []
        sums = [ops.add(first, second).output(0) for first, second in pairs] + unpaired
    return sums[0]


def subtract_max(logits: ov.Node, temperature: float) -> ov.Node:
    """Make each pixel's largest logit 0, so that exp() can't overflow; apply the temperature.

    A shift common to all classes changes neither ids nor probabilities, interpolated or not.
    """
    shifted = ops.subtract(logits, ops.reduce_max(logits, np.int32(1), keep_dims=True))
    return ops.multiply(shifted, np.float32(1 / temperature))


@dataclass(frozen=True, eq=False)
class _RowInterpolation:
    """Output rows grouped by the pair of source rows (P pairs) that they are interpolated from.

    `upper` and `lower` are the source rows of each pair; `weights_PR` is the weight of the lower
    row for each of R output rows, padded to the same R; `pick` are the indices of the real output
    rows among all P x R. With equal groups, a single broadcast interpolates all rows of a band.
    """

    upper: np.ndarray
    lower: np.ndarray
    weights_PR: np.ndarray
    pick: np.ndarray

    @classmethod
    def plan(cls, rows: int, height: int) -> Self:
        upper, lower, weight = compute_interpolation(rows, height)
        # Output rows above the centre of the first source row copy that row. They get a group of
        # their own: merged into the first pair it would be 1.5 times as large as all others.
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
        """Return bands of pairs whose logits stay in the L2 cache between operations.

        Over the whole image, memory traffic would be half of the time.
        """
        bands = -(-self.weights_PR.size * row_bytes // BAND_BYTES)
        count = min(bands, MAX_BANDS, len(self.upper))
        edges = np.linspace(0, len(self.upper), count + 1).astype(int).tolist()
        return [slice(top, bottom) for top, bottom in pairwise(edges)]

    def stack(self, bands: list[ov.Node]) -> ov.Node:
        """Concatenate the bands and drop the padding rows."""
        stacked = bands[0] if len(bands) == 1 else ops.concat(bands, 2)
        if np.array_equal(self.pick, np.arange(self.weights_PR.size)):
            return stacked
        return ops.gather(stacked, self.pick.astype(np.int32), np.int32(2))


def interpolate_columns(logits: ov.Node, width: int) -> ov.Node:
    """Interpolate columns by products with blocks of the weight matrix."""
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
    """Return the band's rows as (N, K, pairs, rows of a pair, W): upper + w * (lower - upper)."""
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
        edges = (np.array([edge], np.int64) for edge in (start, stop, 1, axis))
        return ops.slice(values, *edges)
    return ops.gather(values, indices.astype(np.int32), np.int32(axis))


def compute_interpolation(rows: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return upper and lower source row of every output row, and the lower row's weight.

    Bilinear with align_corners=False; also used for columns.
    """
    centre = np.maximum((np.arange(height) + 0.5) * rows / height - 0.5, 0)
    upper = np.minimum(centre.astype(np.int32), rows - 1)
    lower = np.minimum(upper + 1, rows - 1)
    return upper, lower, (centre - upper).astype(np.float32)
