"""Convert single-scale passes and their fusion to OpenVINO graphs.

Only these functions decide which torch module becomes which part, so a change here changes the
key of the compiled cache. torch is imported inside them: a part from the cache does not need it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import openvino as ov

from proxia_segmentation_ros.backends.network_source import NetworkSource
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.model.quantisation import Range

if TYPE_CHECKING:
    from torch import nn

Arrays: TypeAlias = tuple[np.ndarray, ...]
Ranges: TypeAlias = Mapping[str, Range]
# Example inputs, of which only shape and type matter, and the activation ranges for int8.
ConvertPart: TypeAlias = Callable[[Arrays, Ranges], ov.Model]


def convert_full_image_pass(
    source: NetworkSource, scale: float, is_largest: bool, inputs: Arrays, ranges: Ranges
) -> ov.Model:
    """Return the graph of one scale's pass over the full image."""
    from proxia_segmentation_ros.backends.graph.pass_graphs import FullImagePassGraph

    module = FullImagePassGraph(source.load(), source.card, scale, with_attention=not is_largest)
    return _convert(module, inputs, ranges)


def convert_tile_pass(
    source: NetworkSource, is_largest: bool, inputs: Arrays, ranges: Ranges
) -> ov.Model:
    """Return the graph of a pass over a batch of tiles."""
    from proxia_segmentation_ros.backends.graph.pass_graphs import TilePassGraph

    module = TilePassGraph(source.load(), source.card, with_attention=not is_largest)
    return _convert(module, inputs, ranges)


def convert_gating_score(inputs: Arrays, ranges: Ranges) -> ov.Model:
    """Return the graph that starts the fusion with the smallest scale."""
    from proxia_segmentation_ros.backends.graph.pass_graphs import GatingScore

    return _convert(GatingScore(), inputs, ranges)


def convert_next_scale(inputs: Arrays, ranges: Ranges) -> ov.Model:
    """Return the graph that adds a scale that is not the largest."""
    from proxia_segmentation_ros.backends.graph.pass_graphs import NextScale

    return _convert(NextScale(), inputs, ranges)


def convert_last_scale(inputs: Arrays, ranges: Ranges) -> ov.Model:
    """Return the graph that adds the largest scale to two or more."""
    from proxia_segmentation_ros.backends.graph.pass_graphs import LastScale

    return _convert(LastScale(), inputs, ranges)


def convert_last_of_two(inputs: Arrays, ranges: Ranges) -> ov.Model:
    """Return the graph that adds the largest scale to a single one."""
    from proxia_segmentation_ros.backends.graph.pass_graphs import LastOfTwo

    return _convert(LastOfTwo(), inputs, ranges)


def convert_exact_fusion(
    scales: Sequence[float], network_hw: SizeHW, inputs: Arrays, ranges: Ranges
) -> ov.Model:
    """Return the graph that fuses full-image passes exactly as the network does."""
    from proxia_segmentation_ros.backends.graph.pass_graphs import ExactFusion

    return _convert(ExactFusion(scales, network_hw), inputs, ranges)


def _convert(module: "nn.Module", inputs: Arrays, ranges: Ranges) -> ov.Model:
    import torch

    from proxia_segmentation_ros.backends.graph.openvino_convert import convert_module

    examples = tuple(
        torch.zeros(array.shape, dtype=torch.uint8 if array.dtype == np.uint8 else torch.float32)
        for array in inputs
    )
    return convert_module(module.eval(), examples, type(module).__name__, ranges)
