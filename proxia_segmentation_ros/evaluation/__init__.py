"""Evaluation of predicted labels against ground truth: scores, calibration, HTML page."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxia_segmentation_ros.evaluation.evaluation_loop import evaluate as evaluate
    from proxia_segmentation_ros.evaluation.metrics import ConfusionMatrix as ConfusionMatrix
    from proxia_segmentation_ros.evaluation.report import EvaluationReport as EvaluationReport

_HOMES = {"ConfusionMatrix": "metrics", "EvaluationReport": "report", "evaluate": "evaluation_loop"}
__all__ = ["ConfusionMatrix", "EvaluationReport", "evaluate"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
