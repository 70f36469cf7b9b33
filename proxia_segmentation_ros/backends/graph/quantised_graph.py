"""Quantise the convolutions of an OpenVINO graph to int8 (post-training, FakeQuantize nodes).

A layer is a convolution, named after its module; passes at several scales share their layers.
Weights are quantised symmetrically by output channel, inputs by tensor: 0..255 if no value is
negative.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from proxia_segmentation_ros.model.quantisation import Range

Node: TypeAlias = Any

LAYER_KEY = "proxia_layer"
NETWORK_PREFIX = "network."
PART = re.compile(r"\.(direct|part\d+)$")
LEVELS = 256
# CPUs without VNNI add two products of bytes in 16 bits: 2 x 255 x 64 fits, 2 x 255 x 127
# saturates silently. Weights limited to -64..64 give the same labels on every CPU.
WEIGHT_LEVELS = 255
WEIGHT_STEPS = 64
MIN_RANGE = 1e-6


def name_layer(convolution: Node, layer: str) -> None:
    """Store the name of a convolution's module in the node's runtime info."""
    convolution.get_rt_info()[LAYER_KEY] = name_module(layer)


def name_module(path: str) -> str:
    """Return a module's name within the network for its path within a graph's module."""
    return path.removeprefix(NETWORK_PREFIX)


def find_module(layer: str) -> str:
    """Return the module of a layer, which may be part of a split convolution."""
    return PART.sub("", layer)


def list_layers(graph: ov.Model) -> list[tuple[str, Node]]:
    """Return the named convolutions in execution order; a name may occur repeatedly."""
    return [
        (str(node.get_rt_info()[LAYER_KEY].astype(str)), node)
        for node in graph.get_ordered_ops()
        if node.get_type_name() == "Convolution" and LAYER_KEY in node.get_rt_info()
    ]


def add_range_outputs(graph: ov.Model) -> list[str]:
    """Add the minimum and maximum of each layer's input to the graph's outputs.

    Returns the layers in the order of these outputs: minimum and maximum of the first layer, and
    so on.
    """
    layers = list_layers(graph)
    results = []
    for _, node in layers:
        source = node.input_value(0)
        axes = np.arange(len(source.get_shape()))
        for reduce in (ops.reduce_min, ops.reduce_max):
            results.append(ops.result(reduce(source, axes, keep_dims=False)))
    graph.add_results(results)
    return [layer for layer, _ in layers]


def quantise_graph(graph: ov.Model, ranges: Mapping[str, Range]) -> list[str]:
    """Quantise inputs and weights of the layers with a range; return these layers."""
    quantised, rounded = [], {}
    for layer, node in list_layers(graph):
        if layer not in ranges:
            continue
        low, high = ranges[layer]
        value = node.input_value(0)
        # Convolutions with the same input share its quantised tensor.
        key = value.get_node().get_friendly_name(), value.get_index(), low, high
        if key not in rounded:
            rounded[key] = _round_input(value, low, high)
        node.input(0).replace_source_output(rounded[key].output(0))
        kernel = node.input_value(1)
        node.input(1).replace_source_output(_round_kernel(kernel).output(0))
        quantised.append(layer)
    return quantised


def _round_input(value: Any, low: float, high: float) -> Node:
    greatest = max(abs(low), abs(high), MIN_RANGE)
    if low >= 0:
        return _round(value, np.float32(0), np.float32(greatest), LEVELS)
    # int8 is -128..127: one step more below zero than above.
    return _round(value, np.float32(-greatest * 128 / 127), np.float32(greatest), LEVELS)


def _round_kernel(kernel: Any) -> Node:
    values_OIHW = kernel.get_node().get_data()
    greatest = np.abs(values_OIHW).max(axis=(1, 2, 3), keepdims=True).clip(MIN_RANGE)
    end = greatest * (WEIGHT_LEVELS // 2 / WEIGHT_STEPS)
    # A copy: passes at several scales share a constant, and OpenVINO leaves convolutions with
    # shared weights in float.
    return _round(ops.constant(values_OIHW), -end, end, WEIGHT_LEVELS)


def _round(value: Any, low: Any, high: Any, levels: int) -> Node:
    low, high = (ops.constant(np.asarray(end, np.float32)) for end in (low, high))
    return ops.fake_quantize(value, low, high, low, high, levels)
