"""Convert torch modules to OpenVINO graphs. Imports torch.

The recorder (recorder.py) is tried first; torch.export is the slow fallback for operations that it
does not know.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence, Set

import openvino as ov
import torch
from torch import nn

from proxia_segmentation_ros.backends.graph.quantised_graph import (
    find_module,
    list_layers,
    name_module,
    quantise_graph,
)
from proxia_segmentation_ros.backends.graph.recorder import UnknownOperation, record_graph
from proxia_segmentation_ros.backends.graph.torch_graph import NetworkGraph
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.quantisation import Range

logger = logging.getLogger(__name__)


def convert_network(
    model: nn.Module,
    card: ModelCard,
    scales: Sequence[float],
    network_hw: SizeHW,
    ranges: Mapping[str, Range] | None = None,
) -> ov.Model:
    """Return the graph from image_NHWC (uint8, RGB, N = 1) to logits_NKHW (float).

    Layers with a range in `ranges` are computed in int8.

    Raises:
        BackendError: torch or OpenVINO can't convert the network.
    """
    module = NetworkGraph(model, card, scales).eval()
    example_NHWC = torch.zeros((1, *network_hw, 3), dtype=torch.uint8)
    description = f"{card.architecture} at {network_hw[1]}x{network_hw[0]}"
    return convert_module(module, (example_NHWC,), description, ranges or {})


def _check_ranges(ranges: Mapping[str, Range], modules: Set[str], description: str) -> None:
    """Check that every range belongs to a layer of one of these modules.

    Raises:
        BackendError: a range has no layer; the layer it was meant for would silently stay float.
    """
    missed = sorted(layer for layer in ranges if find_module(layer) not in modules)
    if missed:
        raise BackendError.from_parts(
            f"{description} has no layer {missed[0]!r} to compute in int8",
            "ranges of the layers that this version knows",
            "run `proxia quantise` on the weights again, or set inference.precision to f32",
        )


def convert_module(
    module: nn.Module,
    examples: tuple[torch.Tensor, ...],
    description: str,
    ranges: Mapping[str, Range],
) -> ov.Model:
    """Return the graph of a module in eval mode.

    `description` names the module in errors. Layers with a range are computed in int8; ranges of
    layers that the module has but does not run (attention at a single scale) are ignored.

    Raises:
        BackendError: torch or OpenVINO can't convert it, or a range has no layer.
    """
    _check_ranges(ranges, {name_module(path) for path, _ in module.named_modules()}, description)
    try:
        graph = record_graph(module, *examples)
    except UnknownOperation as unknown:
        logger.info("no translation for %s; exporting with torch.export, which is slow", unknown)
        # Exported layers have no names to look up their ranges by.
        _check_ranges(ranges, set(), description)
    else:
        _quantise(graph, ranges)
        return graph
    try:
        return export_graph(module, *examples)
    except RuntimeError as error:
        raise BackendError.from_parts(
            f"{description} can't be converted ({error})",
            "a network that OpenVINO supports",
            "set inference.backend to torch",
        ) from error


def _quantise(graph: ov.Model, ranges: Mapping[str, Range]) -> None:
    present = {layer for layer, _ in list_layers(graph)}
    # On images of a few rows UpsampledConvolution splits a head into other parts than those
    # whose ranges were found: such a head stays float.
    regrouped = {find_module(layer) for layer in set(ranges) - present}
    fitting = {layer: ends for layer, ends in ranges.items() if find_module(layer) not in regrouped}
    quantise_graph(graph, fitting)


def export_graph(module: nn.Module, *examples: torch.Tensor) -> ov.Model:
    """Return the graph by torch.export, which knows every operation but takes tens of seconds."""
    with warnings.catch_warnings(), torch.no_grad():
        # Deprecation warnings about torch's own code.
        warnings.simplefilter("ignore")
        return ov.convert_model(torch.export.export(module, examples))
