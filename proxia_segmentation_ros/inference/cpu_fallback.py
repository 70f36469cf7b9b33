"""When to fall back from the GPU to the CPU, and to which backend; the only place for that."""

import importlib.util
import logging

from proxia_segmentation_ros.config import NodeSettings

logger = logging.getLogger(__name__)


def may_fall_back(requested: str, failed: str) -> bool:
    """Tell whether a failed backend may be replaced: only if `auto` chose it."""
    return requested == "auto" and failed == "tensorrt"


def choose_cpu_backend() -> str:
    """Return the fastest CPU backend that is installed."""
    return "openvino" if importlib.util.find_spec("openvino") is not None else "torch"


def choose_cpu_precision(precision: str) -> str:
    """Return `precision`, or `auto` where it is f16, which CPUs do not run."""
    return "auto" if precision == "f16" else precision


def change_to_cpu(settings: NodeSettings) -> NodeSettings:
    """Return the settings with the fastest CPU backend."""
    changes = {
        "backend": choose_cpu_backend(),
        "precision": choose_cpu_precision(settings.inference.precision),
    }
    inference = settings.inference.model_copy(update=changes)
    return settings.model_copy(update={"inference": inference})


def warn_of_fallback(error: Exception) -> None:
    """Log why the GPU is not used and which backend replaces it."""
    logger.warning("the GPU stays unused: %s. Going on with %s", error, choose_cpu_backend())
