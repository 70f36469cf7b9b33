"""What the node asks of a segmenter, and how it gets one."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from proxia_segmentation_ros.config import NodeSettings, SizeHW
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

    def segment(
        self,
        image_HWC: np.ndarray,
        with_confidence: bool = False,
        *,
        output_size: str = "input",
        min_confidence: float = 0.0,
    ) -> "Segmentation":
        """Label one RGB image."""

    def warm_up(self, size_hw: SizeHW, batch: int = 1) -> None:
        """Get the first frame's slow work done, for up to `batch` cameras at once."""

    def close(self) -> None:
        """Free the model."""


SegmenterFactory = Callable[[NodeSettings], FrameSegmenter]


def load_segmenter(settings: NodeSettings) -> FrameSegmenter:
    """Load the weights that the settings name.

    Raises:
        WeightsError: they are missing, corrupt or do not fit their network.
        BackendError: the backend is missing or can't compile them.
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
    )
