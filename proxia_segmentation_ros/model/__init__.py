"""Networks and their weight files."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxia_segmentation_ros.model.card import ModelCard as ModelCard
    from proxia_segmentation_ros.model.card_file import read_card as read_card
    from proxia_segmentation_ros.model.checkpoint import load_selftest as load_selftest
    from proxia_segmentation_ros.model.checkpoint import load_weights as load_weights
    from proxia_segmentation_ros.model.checkpoint import save_weights as save_weights
    from proxia_segmentation_ros.model.lookup import list_shipped_weights as list_shipped_weights
    from proxia_segmentation_ros.model.network.hrnet_ocr import ARCHITECTURES as ARCHITECTURES
    from proxia_segmentation_ros.model.network.hrnet_ocr import Outputs as Outputs
    from proxia_segmentation_ros.model.network.hrnet_ocr import build_model as build_model

# Loaded on first use: ModelCard and read_card must not import torch.
_HOMES = {
    "ARCHITECTURES": "network.hrnet_ocr",
    "ModelCard": "card",
    "Outputs": "network.hrnet_ocr",
    "build_model": "network.hrnet_ocr",
    "list_shipped_weights": "lookup",
    "load_selftest": "checkpoint",
    "load_weights": "checkpoint",
    "read_card": "card_file",
    "save_weights": "checkpoint",
}
__all__ = [
    "ARCHITECTURES",
    "ModelCard",
    "Outputs",
    "build_model",
    "list_shipped_weights",
    "load_selftest",
    "load_weights",
    "read_card",
    "save_weights",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
