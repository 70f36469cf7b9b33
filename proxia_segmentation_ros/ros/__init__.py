"""Everything that uses ROS: the lifecycle node, and the clients that talk to it."""

from importlib import import_module
from typing import Any

_HOMES = {
    "CameraPlayer": "ros.client.player",
    "PlayedFrame": "wire.played_frame",
    "SegmentationNode": "ros.node.segmentation_node",
    "prepare_environment": "ros.environment",
}
__all__ = ["CameraPlayer", "PlayedFrame", "SegmentationNode", "prepare_environment"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"proxia_segmentation_ros.{_HOMES[name]}"), name)
