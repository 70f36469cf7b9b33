"""Public API of inference: images in, class ids and object summaries out; without ROS."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxia_segmentation_ros.inference.segmenter import Segmentation as Segmentation
    from proxia_segmentation_ros.inference.segmenter import Segmenter as Segmenter
    from proxia_segmentation_ros.objects.summary import Scene as Scene
    from proxia_segmentation_ros.objects.summary import SceneClass as SceneClass
    from proxia_segmentation_ros.objects.summary import SceneObject as SceneObject
    from proxia_segmentation_ros.objects.summary import summarize as summarize

_HOMES = {
    "Scene": "objects.summary",
    "SceneClass": "objects.summary",
    "SceneObject": "objects.summary",
    "Segmentation": "inference.segmenter",
    "Segmenter": "inference.segmenter",
    "summarize": "objects.summary",
}
__all__ = ["Scene", "SceneClass", "SceneObject", "Segmentation", "Segmenter", "summarize"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"proxia_segmentation_ros.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
