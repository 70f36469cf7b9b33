"""The ROS side: the managed node, and the player that stands for a camera."""

from importlib import import_module
from typing import Any

_HOMES = {
    "CameraPlayer": "player",
    "PlayedFrame": "frames",
    "SegmentationNode": "node",
    "prepare_environment": "environment",
}
__all__ = ["CameraPlayer", "PlayedFrame", "SegmentationNode", "prepare_environment"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
