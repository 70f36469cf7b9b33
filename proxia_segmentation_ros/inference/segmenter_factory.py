"""The segmenter interface of the node, and how the node's settings are turned into one."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from proxia_segmentation_ros.config import OUTPUT_DEFAULTS, InferenceSettings, NodeSettings, SizeHW
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.inference.cpu_fallback import change_to_cpu
from proxia_segmentation_ros.labels import LabelSet

if TYPE_CHECKING:
    # Importing the segmenter imports torch.
    from proxia_segmentation_ros.inference.segmenter import Segmentation
    from proxia_segmentation_ros.model.card import ModelCard


class FrameSegmenter(Protocol):
    """Protocol of the part of `Segmenter` that the node uses."""

    @property
    def label_set(self) -> LabelSet: ...

    @property
    def card(self) -> "ModelCard": ...

    @property
    def backend(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def threads(self) -> int: ...

    @property
    def largest_batch(self) -> int: ...

    @property
    def lanes(self) -> int: ...

    def segment(
        self,
        image_HWC: np.ndarray,
        with_confidence: bool = False,
        *,
        output_size: str = OUTPUT_DEFAULTS.size,
        min_confidence: float = OUTPUT_DEFAULTS.min_confidence,
    ) -> "Segmentation":
        """Label one RGB image."""

    def segment_many(
        self,
        images_HWC: Sequence[np.ndarray],
        with_confidence: Sequence[bool],
        *,
        output_size: str = OUTPUT_DEFAULTS.size,
        min_confidence: float = OUTPUT_DEFAULTS.min_confidence,
        streams: Sequence[str] | None = None,
    ) -> "list[Segmentation]":
        """Label several RGB images, each the next frame of its stream."""

    def warm_up(self, size_hw: SizeHW, batch: int = 1) -> None:
        """Compile and run once, for up to `batch` images at a time."""

    def close(self) -> None:
        """Free the model."""


SegmenterFactory = Callable[[NodeSettings], FrameSegmenter]


@dataclass(frozen=True)
class EngineBuildPlan:
    """How to get missing engines: `command` builds them.

    The node uses `interim_settings` (CPU) until then and `final_settings` afterwards. The latter
    name the backend instead of `auto`, so that a silent fallback is not mistaken for success.
    """

    interim_settings: NodeSettings
    command: tuple[str, ...]
    final_settings: NodeSettings


EngineFinder = Callable[[NodeSettings], EngineBuildPlan | None]


def load_segmenter(settings: NodeSettings) -> FrameSegmenter:
    """Open a segmenter for the settings; TensorRT engines must be in the cache.

    Raises:
        WeightsError: the weights are missing, corrupt or do not fit their network.
        BackendError: the backend is missing, can't compile them or lacks an engine.
    """
    # Imported here, so that the node appears in the ROS graph before torch is imported.
    from proxia_segmentation_ros.inference.segmenter import Segmenter

    return Segmenter.from_weights(
        settings.model.weights,
        backend=settings.inference.backend,
        precision=settings.inference.precision,
        size=settings.inference.size,
        scales=tuple(settings.inference.scales),
        threads=settings.inference.threads,
        tile_threshold=settings.inference.tile_threshold,
        tile_budget=settings.inference.tile_budget,
        tile_max_age=settings.inference.tile_max_age,
        latency_budget_ms=settings.inference.latency_budget_ms,
        # `EngineUpgrade` builds engines in another process, while the node serves.
        may_build=False,
    )


def find_missing_engines(settings: NodeSettings) -> EngineBuildPlan | None:
    """Return how to build the TensorRT engines that the settings need; None if none are missing.

    Raises:
        BackendError: the backend can't run here, or not with these settings.
        WeightsError: the weights are missing or broken.
    """
    from proxia_segmentation_ros.inference.backend_choice import choose_backend
    from proxia_segmentation_ros.inference.engine_build import (
        EngineBuildRequest,
        find_missing_batches,
    )

    wanted = settings.inference
    if choose_backend(wanted.backend) != "tensorrt" or _is_unsupported(wanted):
        return None
    request = EngineBuildRequest(
        weights=settings.model.weights,
        backend="tensorrt",
        precision=wanted.precision,
        size=wanted.size,
        scales=tuple(wanted.scales),
        batch=len(settings.camera_names),
    )
    try:
        if not find_missing_batches(request):
            return None
    except BackendError:
        if wanted.backend == "auto":
            return None
        raise
    module = "proxia_segmentation_ros.inference.engine_build"
    command = (sys.executable, "-m", module, request.to_json())
    inference = wanted.model_copy(update={"backend": "tensorrt"})
    final_settings = settings.model_copy(update={"inference": inference})
    return EngineBuildPlan(change_to_cpu(settings), command, final_settings)


def _is_unsupported(wanted: InferenceSettings) -> bool:
    """Tell whether loading will fail: TensorRT has a fixed size and runs all scales at once."""
    return wanted.size == "input" or wanted.latency_budget_ms > 0
