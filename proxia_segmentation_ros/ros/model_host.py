"""The model and the thread that owns it, from configure to cleanup."""

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.errors import ProxiaError
from proxia_segmentation_ros.inference.pipeline import Pipeline
from proxia_segmentation_ros.ros.segmenting import FrameSegmenter, SegmenterFactory

Result = TypeVar("Result")

POLL_PERIOD_S = 0.05
CLOSE_TIMEOUT_S = 1.0


class LoadingStopped(ProxiaError):  # noqa: N818 - not a fault
    """The process was asked to stop while the model loaded."""


class ModelHost:
    """Load, lend and free one model; its thread runs everything that touches it.

    `keep_waiting` is called while a task runs in that thread; it may raise to give up.
    """

    def __init__(
        self,
        factory: SegmenterFactory,
        settings: NodeSettings,
        keep_waiting: Callable[[], None],
    ) -> None:
        self._keep_waiting = keep_waiting
        self.pipeline = Pipeline()
        started_s = time.monotonic()
        try:
            self.segmenter = self._wait(self.pipeline.run(lambda: _load(factory, settings)))
        except BaseException:
            self.pipeline.close(0.0)
            raise
        self.load_time_s = time.monotonic() - started_s

    def close(self) -> bool:
        """Free the model; False when its thread is still busy and was left to itself."""
        closing = self.pipeline.run(self.segmenter.close)
        wait([closing], CLOSE_TIMEOUT_S)
        return self.pipeline.close(CLOSE_TIMEOUT_S if closing.done() else 0.0)

    def _wait(self, future: "Future[Result]") -> Result:
        while not wait([future], POLL_PERIOD_S).done:
            self._keep_waiting()
        return future.result()


def _load(factory: SegmenterFactory, settings: NodeSettings) -> FrameSegmenter:
    segmenter = factory(settings)
    segmenter.warm_up(segmenter.card.size_hw)
    return segmenter


def describe_model(segmenter: FrameSegmenter, settings: NodeSettings) -> dict[str, Any]:
    """Return what runs, for the log and the diagnostics."""
    height, width = segmenter.card.size_hw
    return {
        "weights": settings.model.weights,
        "name": segmenter.card.name,
        "architecture": segmenter.card.architecture,
        "label_set": segmenter.label_set.name,
        "backend": segmenter.backend,
        "precision": segmenter.precision,
        "threads": segmenter.threads,
        "card_size": f"{width}x{height}",
        "inference_size": settings.inference.size,
        "output_size": settings.output.size,
    }
