"""The one place that says when, and to what, a network goes on without the GPU."""

import importlib.util
import logging

from proxia_segmentation_ros.config import NodeSettings

logger = logging.getLogger(__name__)


def may_fall_back(requested: str, failed: str) -> bool:
    """Tell whether a backend that failed may be replaced: only one that `auto` chose."""
    return requested == "auto" and failed == "tensorrt"


def choose_cpu_backend() -> str:
    """Return the fastest backend that needs no GPU."""
    return "openvino" if importlib.util.find_spec("openvino") is not None else "torch"


def choose_cpu_precision(precision: str) -> str:
    """Return the precision of that backend where `precision` was asked of any."""
    return "auto" if precision == "f16" else precision


def change_to_cpu(settings: NodeSettings) -> NodeSettings:
    """Return the settings for the fastest backend that needs no GPU."""
    changes = {
        "backend": choose_cpu_backend(),
        "precision": choose_cpu_precision(settings.inference.precision),
    }
    inference = settings.inference.model_copy(update=changes)
    return settings.model_copy(update={"inference": inference})


def warn_of_fallback(error: Exception) -> None:
    """Log why the GPU stays unused and what takes over."""
    logger.warning("the GPU stays unused: %s. Going on with %s", error, choose_cpu_backend())
