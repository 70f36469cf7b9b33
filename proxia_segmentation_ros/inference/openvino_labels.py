"""The label rule as an OpenVINO graph: logits_NKHW in, class ids at the output size out.

Shape legend: N images (always 1 here), K classes, H rows, W columns.
"""

from itertools import pairwise

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.inference.resize_node import make_resize

PIXEL_MAX = 255.0
FLOAT_BYTES = 4
# What a core of today has for itself. More bands than that only take longer to compile.
BAND_BYTES = 768 * 1024
MOST_BANDS = 24


def build_label_graph(
    logits_shape: tuple[int, int, int, int],
    output_hw: SizeHW,
    *,
    with_confidence: bool,
    temperature: float,
    unlabeled_id: int,
) -> ov.Model:
    """Return a graph of input `logits` and output ids_N1HW (uint8, int32 above 255 classes).

    With confidence it has a second input, the least probability of a labelled pixel, shape
    (1,), and a second output, confidence_N1HW (uint8, 0..255).
    """
    logits = ops.parameter(list(logits_shape), np.float32, name="logits")
    least = ops.parameter([1], np.float32, name="min_confidence")
    wide = _resize_columns(logits, output_hw[1])
    id_type = np.uint8 if unlabeled_id <= np.iinfo(np.uint8).max else np.int32
    ids_of_bands, confidences_of_bands = [], []
    for band in _split_rows(logits_shape[1], output_hw):
        resized = _resize_rows(wide, output_hw[0], band)
        top = ops.topk(resized, np.int32(1), 1, "max", "none", index_element_type="i32")
        ids = top.output(1)
        if with_confidence:
            probability = _find_probability(resized, top.output(0), temperature)
            ids = ops.select(ops.greater_equal(probability, least), ids, np.int32(unlabeled_id))
            bytes_ = ops.round(ops.multiply(probability, np.float32(PIXEL_MAX)), "half_to_even")
            confidences_of_bands.append(ops.convert(bytes_, np.uint8))
        ids_of_bands.append(ops.convert(ids, id_type))
    if not with_confidence:
        return ov.Model([_stack_rows(ids_of_bands)], [logits], "labels")
    outputs = [_stack_rows(ids_of_bands), _stack_rows(confidences_of_bands)]
    return ov.Model(outputs, [logits, least], "labels_and_confidence")


def _split_rows(classes: int, output_hw: SizeHW) -> list[slice]:
    """Return bands of rows whose logits stay in the cache from one operation to the next.

    Over the whole image every operation would fetch and store megabytes: half of the time.
    """
    height, width = output_hw
    bands = -(-classes * height * width * FLOAT_BYTES // BAND_BYTES)
    edges = np.linspace(0, height, min(bands, MOST_BANDS, height) + 1).astype(int).tolist()
    return [slice(top, bottom) for top, bottom in pairwise(edges)]


def _stack_rows(bands: list[ov.Node]) -> ov.Node:
    return bands[0] if len(bands) == 1 else ops.concat(bands, 2)


def _find_probability(logits: ov.Node, highest: ov.Node, temperature: float) -> ov.Node:
    odds = ops.exp(ops.multiply(ops.subtract(logits, highest), np.float32(1 / temperature)))
    return ops.divide(np.float32(1), ops.reduce_sum(odds, np.int32(1), keep_dims=True))


def _resize_columns(logits: ov.Node, width: int) -> ov.Node:
    rows = logits.shape[2]
    if logits.shape[3] == width:
        return logits
    return make_resize(logits, rows, width)


def _resize_rows(logits: ov.Node, height: int, band: slice) -> ov.Node:
    """Blend whole rows: copies and fused arithmetic where Interpolate gathers single pixels.

    Columns first and rows like this takes less than half the time of one Interpolate. Only the
    rows of `band` are made.
    """
    rows = logits.shape[2]
    upper, lower, weight = (values[band] for values in list_row_blends(rows, height))
    axis = np.int32(2)
    first = ops.gather(logits, upper, axis)
    if rows == height:
        return first
    second = ops.gather(logits, lower, axis)
    weight_N1H1 = weight.reshape(1, 1, len(weight), 1)
    return ops.add(first, ops.multiply(ops.subtract(second, first), weight_N1H1))


def list_row_blends(rows: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the upper and lower source row of every output row, and the lower one's weight."""
    centre = np.maximum((np.arange(height) + 0.5) * rows / height - 0.5, 0)
    upper = np.minimum(centre.astype(np.int32), rows - 1)
    lower = np.minimum(upper + 1, rows - 1)
    return upper, lower, (centre - upper).astype(np.float32)
