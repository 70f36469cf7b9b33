"""Convolutions over enlarged maps, computed where the maps are still small.

A head of HRNet enlarges every branch to 1/4 resolution, joins them and convolves; most of its
work lies in the coarse branches, whose pixels were only interpolated. Mixing channels and
interpolating commute, so the channels are mixed at the branch's own resolution and the result
is enlarged: the same numbers but for rounding, for a fraction of the work
(docs/decisions/001-openvino-graph.md).

Shape legend: I, O channels in and out; H, W output rows and columns; h, w those of a branch.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from openvino import opset13 as ops
from typing_extensions import Self

from proxia_segmentation_ros.backends.graph.quantised_graph import name_layer
from proxia_segmentation_ros.backends.graph.resize_node import make_resize
from proxia_segmentation_ros.model.network.interpolation import make_shifted_resize

Node: TypeAlias = Any

# Branches that are enlarged less than this are convolved as they come with a 3x3 kernel:
# resampling nine maps of theirs costs as much.
MIN_ENLARGEMENT = 3


@dataclass(frozen=True)
class UpsampledConvolution:
    """A convolution, stride 1, over the concatenation of `parts`, some of them enlarged.

    `kernel` is (O, I, k, k) with k 1 or 3, padded to keep the size; `bias` is (O,). The
    convolutions that it becomes are named after its `layer` and the part that they see.
    """

    parts: tuple[Node, ...]
    kernel: np.ndarray
    bias: np.ndarray
    layer: str

    @classmethod
    def match(
        cls, source: Node, kernel: np.ndarray, bias: np.ndarray | None, layer: str
    ) -> Self | None:
        """Return the convolution when its source is of that kind and enlarged enough."""
        side = kernel.shape[2]
        if source.get_type_name() != "Concat" or side not in (1, 3) or side != kernel.shape[3]:
            return None
        parts = tuple(value.get_node() for value in source.input_values())
        least = MIN_ENLARGEMENT if side == 3 else 1
        if not any(_measure_enlargement(part) >= least for part in parts):
            return None
        bias = np.zeros(len(kernel), np.float32) if bias is None else bias
        return cls(parts, kernel, bias, layer)

    def scale(self, gain: np.ndarray, shift: np.ndarray) -> Self:
        """Return the convolution followed by `x * gain + shift`, both (O,)."""
        kernel = (self.kernel * gain.reshape(-1, 1, 1, 1)).astype(np.float32)
        return replace(self, kernel=kernel, bias=(self.bias * gain + shift).astype(np.float32))

    def build(self) -> Node:
        """Return the node that computes it."""
        side = self.kernel.shape[2]
        ends = np.cumsum([part.shape[1] for part in self.parts])
        kernels = np.split(self.kernel, ends[:-1], axis=1)
        height, width = self.parts[0].shape[2], self.parts[0].shape[3]
        least = MIN_ENLARGEMENT if side == 3 else 1
        coarse = [_measure_enlargement(part) >= least for part in self.parts]
        total = _constant(self.bias.reshape(1, -1, 1, 1))
        fine = [index for index, is_coarse in enumerate(coarse) if not is_coarse]
        if fine:
            direct = _join([self.parts[index] for index in fine], 1)
            kernel = np.concatenate([kernels[index] for index in fine], 1)
            total = ops.add(_convolve(direct, kernel, f"{self.layer}.direct"), total)
        enlarged = [index for index, is_coarse in enumerate(coarse) if is_coarse]
        if side == 1:
            for index in enlarged:
                source, layer = _get_source(self.parts[index]), self._name_part(index)
                mixed = _convolve(source, kernels[index], layer)
                total = ops.add(total, make_resize(mixed, height, width))
            return total
        return ops.add(
            total,
            _build_taps(
                [_get_source(self.parts[index]) for index in enlarged],
                [kernels[index] for index in enlarged],
                [self._name_part(index) for index in enlarged],
                height,
                width,
            ),
        )

    def _name_part(self, index: int) -> str:
        return f"{self.layer}.part{index}"


def _build_taps(
    sources: list[Node], kernels: list[np.ndarray], layers: list[str], height: int, width: int
) -> Node:
    """Sum 3x3 convolutions of enlarged sources, separably: columns first, then rows.

    Each of the nine taps is a 1x1 convolution at low resolution, then interpolation and a
    shift, which are linear too: one matrix for columns, one for rows, zero padding included.
    """
    channels = len(kernels[0])
    row_maps, row_matrices = [], []
    for source, kernel, layer in zip(sources, kernels, layers, strict=True):
        low_height, low_width = source.shape[2], source.shape[3]
        total = None
        for tap in range(3):
            # (O, I, 3 rows) -> (O x 3 rows, I): the row taps of a channel lie side by side.
            mix = kernel[:, :, :, tap].transpose(0, 2, 1).reshape(channels * 3, -1, 1, 1)
            columns_wW = make_shifted_resize(low_width, width, tap - 1).T
            mixed = _convolve(source, mix, layer)
            part = ops.matmul(mixed, _constant(columns_wW), False, False)
            total = part if total is None else ops.add(total, part)
        batch = source.shape[0]
        shape = np.array([batch, channels, 3 * low_height, width], np.int64)
        row_maps.append(ops.reshape(total, shape, False))
        row_matrices += [make_shifted_resize(low_height, height, tap - 1) for tap in range(3)]
    return ops.matmul(_constant(np.concatenate(row_matrices, 1)), _join(row_maps, 2), False, False)


def _measure_enlargement(part: Node) -> float:
    """Return by how much a node enlarges rows; 0 when it does not resize."""
    if part.get_type_name() != "Interpolate":
        return 0.0
    return float(part.shape[2] / _get_source(part).shape[2])


def _get_source(part: Node) -> Node:
    return part.input_value(0).get_node()


def _convolve(source: Node, kernel: np.ndarray, layer: str) -> Node:
    edge = [kernel.shape[2] // 2] * 2
    node = ops.convolution(source, _constant(kernel), [1, 1], edge, edge, [1, 1])
    name_layer(node, layer)
    return node


def _join(nodes: list[Node], axis: int) -> Node:
    return nodes[0] if len(nodes) == 1 else ops.concat(nodes, axis)


def _constant(values: np.ndarray) -> Node:
    return ops.constant(np.ascontiguousarray(values, np.float32))
