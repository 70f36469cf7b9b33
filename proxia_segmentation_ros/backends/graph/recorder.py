"""Record a torch module as an OpenVINO graph. Imports torch.

The module runs once on the meta device (tensors without memory) under a TorchDispatchMode, which
sees every ATen operation that is reached and appends the OpenVINO node of the same meaning:

1. Parameters and buffers become constants, the example inputs become graph parameters.
2. `__torch_dispatch__` runs the operation on meta tensors, which gives the output's shape, looks
   the operation up in `TRANSLATIONS` and binds the node to the output tensor by its id.
3. A convolution over upsampled maps is postponed until its batch norm or any other reader comes:
   the norm must be folded into the kernel before the convolution is split by parts
   (upsampled_convolution.py).

Why not a library: torch.export with ov.convert_model gives an equally fast graph, but recording
took 0.04 of its time (0.2 with first imports) and does not hold the GIL for 0.7 s at a time
(docs/decisions/001-openvino-graph.md). Unknown operations fall back to it (openvino_convert.py).
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import openvino as ov
import torch
from openvino import opset13 as ops
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from proxia_segmentation_ros.backends.graph.quantised_graph import name_layer
from proxia_segmentation_ros.backends.graph.resize_node import make_resize
from proxia_segmentation_ros.backends.graph.upsampled_convolution import UpsampledConvolution

Node: TypeAlias = Any
Translation: TypeAlias = Callable[..., Node]  # (recorder, output, *arguments of the operation)

TYPES = {torch.float32: np.float32, torch.uint8: np.uint8, torch.int64: np.int64}


class UnknownOperation(Exception):  # noqa: N818 - the caller falls back to torch.export
    """The module uses an operation that has no translation here."""


def record_graph(module: nn.Module, *examples: Tensor) -> ov.Model:
    """Return the graph of `module(*examples)`; only shapes and types of the examples matter.

    Raises:
        UnknownOperation: an operation has no translation.
    """
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    meta_tensors = {name: tensor.detach().to("meta") for name, tensor in tensors.items()}
    recorder = GraphRecorder()
    for name, meta_tensor in meta_tensors.items():
        recorder.add_constant(meta_tensor, tensors[name].detach().cpu().numpy(), name)
    inputs = tuple(example.to("meta") for example in examples)
    parameters = [recorder.add_input(tensor) for tensor in inputs]
    with torch.no_grad(), recorder:
        found = torch.func.functional_call(module, meta_tensors, inputs)
    results = found if isinstance(found, tuple) else (found,)
    nodes = [recorder.find_node(tensor) for tensor in results]
    return ov.Model(nodes, parameters, type(module).__name__)


class GraphRecorder(TorchDispatchMode):
    """Builds nodes while torch dispatches operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._nodes: dict[int, Node] = {}
        self._constants: dict[int, np.ndarray] = {}
        self._names: dict[int, str] = {}
        self._postponed: dict[int, UpsampledConvolution] = {}
        # Tensors are keyed by id, which is only unique among live objects: keep them alive.
        self._alive: list[Tensor] = []

    def add_constant(self, meta_tensor: Tensor, value: np.ndarray, name: str) -> None:
        """Bind a meta tensor to the value of the module's parameter or buffer `name`."""
        self._alive.append(meta_tensor)
        self._constants[id(meta_tensor)] = value
        self._names[id(meta_tensor)] = name

    def name_layer(self, weight: Tensor) -> str:
        """Return the name of the module that a weight belongs to."""
        return self._names[id(weight)].rpartition(".")[0]

    def add_input(self, meta_tensor: Tensor) -> Node:
        """Make a meta tensor an input of the graph."""
        node = ops.parameter(list(meta_tensor.shape), TYPES[meta_tensor.dtype])
        self._bind(meta_tensor, node)
        return node

    def find_node(self, tensor: Tensor) -> Node:
        """Return the node that computes a tensor.

        Raises:
            UnknownOperation: no recorded operation made the tensor.
        """
        node = self._nodes.get(id(tensor))
        postponed = self.take_postponed(tensor)
        if postponed is not None:
            node = postponed.build()
            self._nodes[id(tensor)] = node
        if node is None:
            if id(tensor) not in self._constants:
                raise UnknownOperation(f"a tensor of shape {tuple(tensor.shape)} from outside")
            node = ops.constant(self._constants[id(tensor)])
            self._nodes[id(tensor)] = node
        return node

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = str(func.overloadpacket).removeprefix("aten.")
        if name in UNREAD_RESULTS:
            return result
        translate = TRANSLATIONS.get(name)
        if translate is None:
            raise UnknownOperation(name)
        output = result[0] if isinstance(result, tuple) else result
        node = translate(self, output, *args, **kwargs)
        if node is not None:
            self._bind(output, node)
        return result

    def postpone(self, tensor: Tensor, convolution: UpsampledConvolution) -> None:
        """Build the convolution of `tensor` later: a batch norm may follow and be folded in."""
        self._alive.append(tensor)
        self._postponed[id(tensor)] = convolution

    def take_postponed(self, tensor: Tensor) -> UpsampledConvolution | None:
        """Return the convolution of a tensor if it is not built yet, and forget it."""
        return self._postponed.pop(id(tensor), None)

    def read(self, value: Tensor | float) -> Node:
        """Return the node of an operand: a tensor or a number."""
        if isinstance(value, Tensor):
            return self.find_node(value)
        return ops.constant(np.float32(value))

    def read_constant(self, tensor: Tensor) -> np.ndarray:
        """Return the value of a parameter or buffer.

        Raises:
            UnknownOperation: the tensor is computed.
        """
        if id(tensor) not in self._constants:
            raise UnknownOperation("a weight that is computed")
        return self._constants[id(tensor)]

    def _bind(self, tensor: Tensor, node: Node) -> None:
        self._alive.append(tensor)
        self._nodes[id(tensor)] = node


def _identity(recorder: GraphRecorder, output: Tensor, source: Tensor, *_: Any, **__: Any) -> Node:  # noqa: ARG001
    return recorder.find_node(source)


def _reshape(recorder: GraphRecorder, output: Tensor, source: Tensor, *_: Any) -> Node:
    return ops.reshape(recorder.find_node(source), np.array(output.shape, np.int64), False)


def _expand(recorder: GraphRecorder, output: Tensor, source: Tensor, *_: Any, **__: Any) -> Node:
    if output.shape != source.shape:
        raise UnknownOperation("expand to another shape")
    return recorder.find_node(source)


def _cast(recorder: GraphRecorder, output: Tensor, source: Tensor, **_: Any) -> Node:
    return ops.convert(recorder.find_node(source), TYPES[output.dtype])


def _permute(recorder: GraphRecorder, output: Tensor, source: Tensor, order: list[int]) -> Node:  # noqa: ARG001
    return ops.transpose(recorder.find_node(source), np.array(order, np.int64))


def _transpose(
    recorder: GraphRecorder, output: Tensor, source: Tensor, first: int, second: int
) -> Node:
    order = list(range(output.dim()))
    order[first], order[second] = order[second], order[first]
    return ops.transpose(recorder.find_node(source), np.array(order, np.int64))


def _flip(recorder: GraphRecorder, output: Tensor, source: Tensor, axes: list[int]) -> Node:
    if len(axes) != 1:
        raise UnknownOperation("flip of several axes")
    order = np.arange(output.shape[axes[0]])[::-1].astype(np.int64)
    return ops.gather(recorder.find_node(source), order, np.int64(axes[0]))


def _convolution(
    recorder: GraphRecorder,
    output: Tensor,
    source: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    is_transposed: bool,
    output_padding: list[int],  # noqa: ARG001
    groups: int,
) -> Node:
    if is_transposed or groups != 1:
        raise UnknownOperation("a transposed or grouped convolution")
    is_plain = tuple(stride) == tuple(dilation) == (1, 1)
    is_size_kept = list(padding) == [side // 2 for side in weight.shape[2:]]
    if is_plain and is_size_kept:
        bias_O = None if bias is None else recorder.read_constant(bias)
        upsampled = UpsampledConvolution.match(
            recorder.find_node(source),
            recorder.read_constant(weight),
            bias_O,
            recorder.name_layer(weight),
        )
        if upsampled is not None:
            recorder.postpone(output, upsampled)
            return None
    node = ops.convolution(
        recorder.find_node(source),
        recorder.find_node(weight),
        list(stride),
        list(padding),
        list(padding),
        list(dilation),
    )
    name_layer(node, recorder.name_layer(weight))
    if bias is None:
        return node
    return ops.add(node, ops.constant(recorder.read_constant(bias).reshape(1, -1, 1, 1)))


def _batch_norm(
    recorder: GraphRecorder,
    output: Tensor,  # noqa: ARG001
    source: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    is_training: bool,
    momentum: float,  # noqa: ARG001
    eps: float,
) -> Node:
    if is_training:
        raise UnknownOperation("batch norm in training")
    weight_C, bias_C, mean_C, variance_C = (
        recorder.read_constant(tensor).astype(np.float64)
        for tensor in (weight, bias, mean, variance)
    )
    gain_C = weight_C / np.sqrt(variance_C + eps)
    shift_C = bias_C - mean_C * gain_C
    upsampled = recorder.take_postponed(source)
    if upsampled is not None:
        return upsampled.scale(gain_C, shift_C).build()
    gain, shift = (
        ops.constant(value.astype(np.float32).reshape(1, -1, 1, 1)) for value in (gain_C, shift_C)
    )
    # OpenVINO folds these into the preceding convolution when it compiles the graph.
    return ops.add(ops.multiply(recorder.find_node(source), gain), shift)


def _upsample(
    recorder: GraphRecorder,
    output: Tensor,  # noqa: ARG001
    source: Tensor,
    size_hw: list[int],
    is_corner_aligned: bool,
    *_: Any,
) -> Node:
    if is_corner_aligned:
        raise UnknownOperation("a resize with aligned corners")
    return make_resize(recorder.find_node(source), *size_hw)


def _concat(
    recorder: GraphRecorder,
    output: Tensor,  # noqa: ARG001
    parts: list[Tensor],
    axis: int = 0,
) -> Node:
    return ops.concat([recorder.find_node(part) for part in parts], axis)


def _softmax(recorder: GraphRecorder, output: Tensor, source: Tensor, axis: int, *_: Any) -> Node:
    return ops.softmax(recorder.find_node(source), axis % output.dim())


def _topk(
    recorder: GraphRecorder,
    output: Tensor,
    source: Tensor,
    count: int,
    axis: int = -1,
    is_largest: bool = True,
    is_sorted: bool = True,
) -> Node:
    """Translate the values; their indices are never read by our networks."""
    if not (is_largest and is_sorted):
        raise UnknownOperation("topk of the smallest, or without order")
    node = recorder.find_node(source)
    return ops.topk(node, np.int32(count), axis % output.dim(), "max", "value").output(0)


def _slice(
    recorder: GraphRecorder,
    output: Tensor,
    source: Tensor,
    axis: int = 0,
    start: int | None = None,
    end: int | None = None,  # noqa: ARG001 - implied by the output's shape
    step: int = 1,
) -> Node:
    size, first = output.shape[axis], start or 0
    if step != 1 or first < 0:
        raise UnknownOperation("a slice with steps or from the end")
    if output.shape == source.shape:
        return recorder.find_node(source)
    bounds = (np.array([bound], np.int64) for bound in (first, first + size, 1, axis))
    return ops.slice(recorder.find_node(source), *bounds)


def _translate_unary(build: Callable[[Node], Node]) -> Translation:
    def translate(recorder: GraphRecorder, output: Tensor, source: Tensor) -> Node:  # noqa: ARG001
        return build(recorder.find_node(source))

    return translate


def _translate_binary(build: Callable[[Node, Node], Node]) -> Translation:
    def translate(
        recorder: GraphRecorder,
        output: Tensor,  # noqa: ARG001
        first: Tensor | float,
        second: Tensor | float,
    ) -> Node:
        return build(recorder.read(first), recorder.read(second))

    return translate


# Scratch memory of batch norm. Reading such a result would raise in `find_node`.
UNREAD_RESULTS = frozenset({"empty"})

TRANSLATIONS: dict[str, Translation] = {
    "_softmax": _softmax,
    "_to_copy": _cast,
    "_unsafe_view": _reshape,
    "add": _translate_binary(ops.add),
    "bmm": _translate_binary(lambda first, second: ops.matmul(first, second, False, False)),
    "cat": _concat,
    "clone": _identity,
    "convolution": _convolution,
    "expand": _expand,
    "flip": _flip,
    "mm": _translate_binary(lambda first, second: ops.matmul(first, second, False, False)),
    "mul": _translate_binary(ops.multiply),
    "native_batch_norm": _batch_norm,
    "permute": _permute,
    "relu": _translate_unary(ops.relu),
    "rsub": _translate_binary(lambda first, second: ops.subtract(second, first)),
    "sigmoid": _translate_unary(ops.sigmoid),
    "slice": _slice,
    "sub": _translate_binary(ops.subtract),
    "topk": _topk,
    "transpose": _transpose,
    "unsqueeze": _reshape,
    "upsample_bilinear2d": _upsample,
    "view": _reshape,
}
