"""Read and write camera images in rosbag2 recordings, without ROS."""

from importlib import import_module
from typing import Any

_HOMES = {
    "BagFrame": "reader",
    "BagInfo": "reader",
    "BagTopic": "reader",
    "BagWriter": "writer",
    "bag_info": "reader",
    "read_images": "reader",
}
__all__ = [
    "BagFrame",
    "BagInfo",
    "BagTopic",
    "BagWriter",
    "bag_info",
    "read_images",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
