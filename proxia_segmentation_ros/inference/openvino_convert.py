"""From the torch network to an OpenVINO graph. Imports torch."""

import logging
import warnings
from collections.abc import Sequence

import openvino as ov
import torch
from torch import nn

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.inference.graph_recorder import UnknownOperation, record_graph
from proxia_segmentation_ros.inference.torch_graph import NetworkGraph
from proxia_segmentation_ros.model.card import ModelCard

logger = logging.getLogger(__name__)


def convert_network(
    model: nn.Module,
    card: ModelCard,
    scales: Sequence[float],
    network_hw: SizeHW,
    batch: int = 1,
) -> ov.Model:
    """Return the graph: image_NHWC (uint8, RGB, N = `batch`) in, logits_NKHW (float) out.

    Raises:
        BackendError: torch or OpenVINO can't convert the network.
    """
    graph = NetworkGraph(model, card, scales).eval()
    example_NHWC = torch.zeros((batch, *network_hw, 3), dtype=torch.uint8)
    return convert_module(graph, (example_NHWC,), f"{card.architecture} at {network_hw}")


def convert_module(
    module: nn.Module, examples: tuple[torch.Tensor, ...], description: str
) -> ov.Model:
    """Return the graph of a module in eval mode; `description` names it in errors.

    Raises:
        BackendError: torch or OpenVINO can't convert it.
    """
    try:
        return record_graph(module, *examples)
    except UnknownOperation as unknown:
        logger.info("no translation for %s; exporting with torch.export, which is slow", unknown)
    try:
        return export_graph(module, *examples)
    except RuntimeError as error:
        raise BackendError.from_parts(
            f"{description} can't be converted ({error})",
            "a network that OpenVINO supports",
            "set inference.backend to torch",
        ) from error


def export_graph(module: nn.Module, *examples: torch.Tensor) -> ov.Model:
    """Return the graph by way of torch.export, which knows every operation."""
    with warnings.catch_warnings(), torch.no_grad():
        # Notes of torch to itself about its own deprecations.
        warnings.simplefilter("ignore")
        return ov.convert_model(torch.export.export(module, examples))
