"""Images in, class ids and object summaries out; nothing here knows of ROS."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxia_segmentation_ros.inference.objects import Scene as Scene
    from proxia_segmentation_ros.inference.objects import SceneClass as SceneClass
    from proxia_segmentation_ros.inference.objects import SceneObject as SceneObject
    from proxia_segmentation_ros.inference.objects import summarize as summarize
    from proxia_segmentation_ros.inference.segmenter import Segmentation as Segmentation
    from proxia_segmentation_ros.inference.segmenter import Segmenter as Segmenter

_HOMES = {
    "Scene": "objects",
    "SceneClass": "objects",
    "SceneObject": "objects",
    "Segmentation": "segmenter",
    "Segmenter": "segmenter",
    "summarize": "objects",
}
__all__ = ["Scene", "SceneClass", "SceneObject", "Segmentation", "Segmenter", "summarize"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
