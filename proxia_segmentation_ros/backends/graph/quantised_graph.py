"""Convolutions in 8-bit integers: ranges seen in a float graph, and the graph that keeps to them.

A layer is a convolution by its module's name; passes at several scales share their layers.
Weights are symmetric by output channel, inputs by tensor: 0..255 where nothing is negative.
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
# CPUs without VNNI add two products of bytes in 16 bits: 2 x 255 x 64 fits, 2 x 255 x 127 is
# silently cut off. Weights spread over -64..64 of the 255 levels give every CPU the same labels.
WEIGHT_LEVELS = 255
WEIGHT_STEPS = 64
MIN_RANGE = 1e-6


def name_layer(convolution: Node, layer: str) -> None:
    """Remember which module a convolution comes from."""
    convolution.get_rt_info()[LAYER_KEY] = name_module(layer)


def name_module(path: str) -> str:
    """Return the name of a module in the network, of its path in a graph's module."""
    return path.removeprefix(NETWORK_PREFIX)


def find_module(layer: str) -> str:
    """Return the module of a layer, which may be one of the convolutions that it became."""
    return PART.sub("", layer)


def list_layers(graph: ov.Model) -> list[tuple[str, Node]]:
    """Return the named convolutions in the order of their work; names may come repeatedly."""
    return [
        (str(node.get_rt_info()[LAYER_KEY].astype(str)), node)
        for node in graph.get_ordered_ops()
        if node.get_type_name() == "Convolution" and LAYER_KEY in node.get_rt_info()
    ]


def add_range_outputs(graph: ov.Model) -> list[str]:
    """Let the graph return the least and the greatest input of each layer, after its outputs.

    Returns the layers, whose outputs follow each other in this order: least, greatest.
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
    """Round inputs and weights of the layers that have a range; returns these layers."""
    quantised, rounded = [], {}
    for layer, node in list_layers(graph):
        if layer not in ranges:
            continue
        low, high = ranges[layer]
        value = node.input_value(0)
        # Convolutions that see the same tensor share its bytes.
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
    # One step more below zero than above.
    return _round(value, np.float32(-greatest * 128 / 127), np.float32(greatest), LEVELS)


def _round_kernel(kernel: Any) -> Node:
    values_OIHW = kernel.get_node().get_data()
    greatest = np.abs(values_OIHW).max(axis=(1, 2, 3), keepdims=True).clip(MIN_RANGE)
    end = greatest * (WEIGHT_LEVELS // 2 / WEIGHT_STEPS)
    # Passes at several scales share a constant, whose convolutions OpenVINO would leave in float.
    return _round(ops.constant(values_OIHW), -end, end, WEIGHT_LEVELS)


def _round(value: Any, low: Any, high: Any, levels: int) -> Node:
    low, high = (ops.constant(np.asarray(one, np.float32)) for one in (low, high))
    return ops.fake_quantize(value, low, high, low, high, levels)
