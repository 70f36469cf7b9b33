"""Convolve upsampled maps at their low resolution.

A head of HRNet upsamples every branch to 1/4 resolution, concatenates them and convolves. 80 % of
the input channels of its 3x3 convolution, half of the network's work, are interpolated from
branches with a 16th or a 64th of the pixels. Mixing channels (a 1x1 convolution) and interpolating
are both linear and act on different axes, so they commute:

- 1x1: convolve each coarse branch at its own resolution, then upsample the result.
- 3x3: the kernel is the sum of nine taps, each a 1x1 convolution followed by a shift. Mix the
  channels of the taps at low resolution, then multiply by two matrices that interpolate, shift and
  zero-pad columns and rows (model/network/interpolation.py).
- Branches that are not upsampled enough are convolved directly; all parts are added.

Results are equal up to rounding (logits within 6e-6). Measured on two AVX2 cores: 0.64 to 0.73 of
the time for the whole network, 0.41 for the 3x3 alone (docs/decisions/001-openvino-graph.md). No
compiler does this rewriting: OpenVINO convolves at the full resolution.

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

# With a 3x3 kernel, branches upsampled by less than this are convolved directly: resampling nine
# maps costs what the low resolution saves.
MIN_ENLARGEMENT = 3


@dataclass(frozen=True)
class UpsampledConvolution:
    """A convolution with stride 1 over the concatenation of `parts`, some of them upsampled.

    `kernel` is (O, I, k, k) with k 1 or 3, zero-padded to keep the size; `bias` is (O,). The
    convolutions that replace it are named after its `layer` and their part.
    """

    parts: tuple[Node, ...]
    kernel: np.ndarray
    bias: np.ndarray
    layer: str

    @classmethod
    def match(
        cls, source: Node, kernel: np.ndarray, bias: np.ndarray | None, layer: str
    ) -> Self | None:
        """Return the convolution if its source concatenates maps that are upsampled enough."""
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
        """Fold `x * gain + shift` (a batch norm; both (O,)) into kernel and bias."""
        kernel = (self.kernel * gain.reshape(-1, 1, 1, 1)).astype(np.float32)
        return replace(self, kernel=kernel, bias=(self.bias * gain + shift).astype(np.float32))

    def build(self) -> Node:
        """Return the node of the result."""
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
    """Sum 3x3 convolutions of upsampled sources, separably: columns first, then rows.

    For each column tap, a 1x1 convolution computes the three row taps at low resolution, and a
    matrix upsamples and shifts columns. A single product with the row matrices of all sources and
    row taps, side by side, then upsamples, shifts and adds them up.
    """
    channels = len(kernels[0])
    row_maps, row_matrices = [], []
    for source, kernel, layer in zip(sources, kernels, layers, strict=True):
        low_height, low_width = source.shape[2], source.shape[3]
        total = None
        for tap in range(3):
            # (O, I, 3 row taps) -> (O x 3, I, 1, 1): the row taps of a channel are adjacent, so
            # that the reshape below stacks them as rows of that channel.
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
    """Return the factor by which a node upsamples rows; 0 if it does not resize."""
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
