"""From the torch network to an OpenVINO graph. Imports torch."""

import logging
import warnings
from collections.abc import Mapping, Sequence

import openvino as ov
import torch
from torch import nn

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.inference.graph_recorder import UnknownOperation, record_graph
from proxia_segmentation_ros.inference.quantised_graph import (
    find_module,
    list_layers,
    quantise_graph,
)
from proxia_segmentation_ros.inference.torch_graph import NetworkGraph
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.quantisation import Range

logger = logging.getLogger(__name__)


def convert_network(
    model: nn.Module,
    card: ModelCard,
    scales: Sequence[float],
    network_hw: SizeHW,
    batch: int = 1,
    ranges: Mapping[str, Range] | None = None,
) -> ov.Model:
    """Return the graph: image_NHWC (uint8, RGB, N = `batch`) in, logits_NKHW (float) out.

    Layers that have a range among `ranges` are computed in int8.

    Raises:
        BackendError: torch or OpenVINO can't convert the network.
    """
    graph = NetworkGraph(model, card, scales).eval()
    example_NHWC = torch.zeros((batch, *network_hw, 3), dtype=torch.uint8)
    recorded = _record(graph, example_NHWC)
    if ranges:
        _quantise(recorded, ranges, card)
    if recorded is not None:
        return recorded
    try:
        return export_graph(graph, example_NHWC)
    except RuntimeError as error:
        raise BackendError.from_parts(
            f"{card.architecture} at {network_hw[1]}x{network_hw[0]} can't be converted ({error})",
            "a network that OpenVINO supports",
            "set inference.backend to torch",
        ) from error


def _record(graph: nn.Module, example: torch.Tensor) -> ov.Model | None:
    try:
        return record_graph(graph, example)
    except UnknownOperation as unknown:
        logger.info("no translation for %s; exporting with torch.export, which is slow", unknown)
        return None


def _quantise(graph: ov.Model | None, ranges: Mapping[str, Range], card: ModelCard) -> None:
    there = set() if graph is None else {layer for layer, _ in list_layers(graph)}
    modules = {find_module(layer) for layer in there}
    missed = sorted(layer for layer in ranges if find_module(layer) not in modules)
    if graph is None or missed:
        raise BackendError.from_parts(
            f"{card.architecture} has no layer {missed[0]!r} to compute in int8",
            "ranges of the layers that this version knows",
            "run `proxia quantise` on the weights again, or set inference.precision to f32",
        )
    # Maps of a few rows are joined otherwise than the ranges were found: such a head stays float.
    regrouped = {find_module(layer) for layer in set(ranges) - there}
    fitting = {layer: ends for layer, ends in ranges.items() if find_module(layer) not in regrouped}
    quantise_graph(graph, fitting)


def export_graph(module: nn.Module, example: torch.Tensor) -> ov.Model:
    """Return the graph by way of torch.export, which knows every operation."""
    with warnings.catch_warnings(), torch.no_grad():
        # Notes of torch to itself about its own deprecations.
        warnings.simplefilter("ignore")
        return ov.convert_model(torch.export.export(module, (example,)))
