"""What the node asks of a segmenter, how it gets one, and how it changes to a better one."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from proxia_segmentation_ros.config import InferenceSettings, NodeSettings, SizeHW
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.inference.cpu_fallback import change_to_cpu
from proxia_segmentation_ros.labels import LabelSet

if TYPE_CHECKING:
    # Importing the segmenter imports torch.
    from proxia_segmentation_ros.inference.segmenter import Segmentation
    from proxia_segmentation_ros.model.card import ModelCard


class FrameSegmenter(Protocol):
    """The part of `inference.Segmenter` that the node uses."""

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
        output_size: str = "input",
        min_confidence: float = 0.0,
    ) -> "Segmentation":
        """Label one RGB image."""

    def segment_many(
        self,
        images_HWC: Sequence[np.ndarray],
        with_confidence: Sequence[bool],
        *,
        output_size: str = "input",
        min_confidence: float = 0.0,
        streams: Sequence[str] | None = None,
    ) -> "list[Segmentation]":
        """Label several RGB images, each the next frame of its stream."""

    def warm_up(self, size_hw: SizeHW, batch: int = 1) -> None:
        """Get the first frame's slow work done, for up to `batch` cameras at once."""

    def close(self) -> None:
        """Free the model."""


SegmenterFactory = Callable[[NodeSettings], FrameSegmenter]


@dataclass(frozen=True)
class EngineBuildPlan:
    """Engines that are missing: `command` builds them; `first` serves until then, `then` after.

    `then` names its backend: whatever replaces it quietly must not pass for it.
    """

    interim_settings: NodeSettings
    command: tuple[str, ...]
    final_settings: NodeSettings


EngineFinder = Callable[[NodeSettings], EngineBuildPlan | None]


def load_segmenter(settings: NodeSettings) -> FrameSegmenter:
    """Load the weights that the settings name; what takes minutes to build must be there.

    Raises:
        WeightsError: they are missing, corrupt or do not fit their network.
        BackendError: the backend is missing, can't compile them or lacks an engine.
    """
    # Imported here so that a node without a model is there at once.
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
        # A process of its own does that.
        may_build=False,
    )


def find_missing_engines(settings: NodeSettings) -> EngineBuildPlan | None:
    """Return what must be built, for minutes, before the settings' backend can serve; or None.

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
    if choose_backend(wanted.backend) != "tensorrt" or _is_refused(wanted):
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


def _is_refused(wanted: InferenceSettings) -> bool:
    """Tell whether loading will refuse TensorRT, which has one size and runs all scales at once."""
    return wanted.size == "input" or wanted.latency_budget_ms > 0
