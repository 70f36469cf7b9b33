"""The model and its worker threads, from *configure* to *cleanup* of the node."""

import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

import numpy as np

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.errors import BackendError, ProxiaError
from proxia_segmentation_ros.inference.cpu_fallback import (
    change_to_cpu,
    may_fall_back,
    warn_of_fallback,
)
from proxia_segmentation_ros.inference.engine_upgrade import (
    EngineUpgrade,
    UpgradeStatus,
    UpgradeStopped,
)
from proxia_segmentation_ros.inference.segmenter_factory import (
    EngineBuildPlan,
    EngineFinder,
    FrameSegmenter,
    SegmenterFactory,
)
from proxia_segmentation_ros.inference.swappable_segmenter import FrameUse, SwappableSegmenter
from proxia_segmentation_ros.inference.warm_up import warm_up_with_fallback
from proxia_segmentation_ros.pipeline.attempt import Attempt
from proxia_segmentation_ros.pipeline.recovery import (
    ModelRecovery,
    RecoveryStatus,
    RecoveryTimes,
)
from proxia_segmentation_ros.pipeline.watchdog import Watchdog
from proxia_segmentation_ros.pipeline.workers import FrameWorkers

Result = TypeVar("Result")

POLL_PERIOD_S = 0.05
CLOSE_TIMEOUT_S = 1.0


class LoadingStopped(ProxiaError):  # noqa: N818 - not a fault
    """The node was asked to stop while the model was loading."""


class ModelHost:
    """Load, warm up and free one model, and replace it when it fails.

    Frames are only ever segmented by the worker threads. `keep_waiting` is called regularly while
    the model loads; it may raise to cancel. If `find_engines` reports missing TensorRT engines, a
    CPU model serves until they are built.
    """

    def __init__(
        self,
        factory: SegmenterFactory,
        settings: NodeSettings,
        keep_waiting: Callable[[], None],
        find_engines: EngineFinder,
    ) -> None:
        self._keep_waiting = keep_waiting
        self._factory = factory
        self._settings = settings
        self._upgrade: EngineUpgrade | None = None
        self._recovery: ModelRecovery | None = None
        self._watchdog: Watchdog | None = None
        self.workers = FrameWorkers()
        started_s = time.monotonic()
        try:
            self._plan, first = self._wait(self.workers.run(lambda: self._load(find_engines)))
        except BaseException:
            self.workers.close(0.0)
            raise
        self._swappable = SwappableSegmenter(
            first, keep_frames=self._plan is not None, on_result=self._note_result
        )
        self.segmenter: FrameSegmenter = self._swappable
        self.load_time_s = time.monotonic() - started_s

    def lend(self) -> AbstractContextManager[FrameSegmenter]:
        """Return the model that serves, for one call; see `SwappableSegmenter.lend`."""
        return self._swappable.lend()

    @property
    def upgrade_status(self) -> UpgradeStatus | None:
        """Progress of the engine build; None if no engine was missing."""
        return None if self._upgrade is None else self._upgrade.status

    def start_upgrade(self, on_status: Callable[[UpgradeStatus], None]) -> None:
        """Start to build the missing engines; `on_status` is called from another thread."""
        if self._plan is None:
            return
        swappable = self._swappable

        def watch_status(status: UpgradeStatus) -> None:
            if status.state in ("ready", "failed", "stopped"):
                swappable.stop_watching()
            on_status(status)

        self._upgrade = EngineUpgrade(
            self._plan.command,
            partial(self._load_better, swappable, self._plan.final_settings),
            partial(self._hand_over, swappable),
            watch_status,
        )

    @property
    def recovery_status(self) -> RecoveryStatus:
        """Whether the wanted model serves, another one, or none."""
        return RecoveryStatus() if self._recovery is None else self._recovery.status

    def start_watching(
        self,
        find_deadline_s: Callable[[], float],
        on_overdue: Callable[[Attempt], None],
        on_change: Callable[[], None],
        give_up: Callable[[str], None],
        times: RecoveryTimes | None = None,
    ) -> None:
        """Replace the model from now on when it fails or hangs; see `Watchdog`, `ModelRecovery`.

        The functions are called from other threads.
        """
        recovery = ModelRecovery(
            self._swappable,
            self.workers,
            self._settings,
            self._open,
            on_change=on_change,
            give_up=give_up,
            times=times,
        )

        def note_overdue(attempt: Attempt) -> None:
            on_overdue(attempt)
            if attempt.stage == "segment":
                recovery.note_hang(
                    f"the model has hung for {attempt.age_s:.1f} s in a frame of "
                    f"{', '.join(attempt.cameras)}"
                )

        self._recovery = recovery
        self._watchdog = Watchdog(self.workers, find_deadline_s, note_overdue)

    def close(self) -> bool:
        """Free the model; return False if a thread is still busy and was abandoned."""
        if self._watchdog is not None:
            self._watchdog.close()
        has_recovered = self._recovery is None or self._recovery.close(CLOSE_TIMEOUT_S)
        if self._swappable.is_suspended:
            # A model that failed or hangs would not close either.
            return self.workers.close(0.0) and has_recovered
        closing = self.workers.run(self.segmenter.close)
        has_stopped = self._upgrade is None or self._upgrade.close()
        wait([closing], CLOSE_TIMEOUT_S)
        has_closed = self.workers.close(CLOSE_TIMEOUT_S if closing.done() else 0.0)
        return has_stopped and has_closed and has_recovered

    def _note_result(self, error: BaseException | None) -> None:
        if self._recovery is not None:
            self._recovery.note_result(error)

    def _load(self, find_engines: EngineFinder) -> tuple[EngineBuildPlan | None, FrameSegmenter]:
        plan = find_engines(self._settings)
        try:
            return plan, self._open(self._settings if plan is None else plan.interim_settings)
        except BackendError:
            # The backend has removed an engine that the GPU refused from the cache, so a second
            # look finds it missing and it is built again.
            plan = find_engines(self._settings) if plan is None else None
            if plan is None:
                raise
            return plan, self._open(plan.interim_settings)

    def _open(self, settings: NodeSettings) -> FrameSegmenter:
        segmenter = self._factory(settings)
        backend = segmenter.backend
        try:
            self._warm_up(segmenter)
        except BackendError as error:
            segmenter.close()
            if not may_fall_back(settings.inference.backend, backend):
                raise
            warn_of_fallback(error)
            return self._open(change_to_cpu(settings))
        return segmenter

    def _load_better(self, swappable: SwappableSegmenter, settings: NodeSettings) -> FrameSegmenter:
        """Load and warm up the final model; runs in the upgrade thread while frames go on."""
        better = self._factory(settings)
        try:
            self._warm_up(better)
            for use in swappable.uses or (self._guess_use(better),):
                _warm_for(better, use)
        except BaseException:
            better.close()
            raise
        return better

    def _warm_up(self, segmenter: FrameSegmenter) -> None:
        warm_up_with_fallback(segmenter, segmenter.card.size_hw, len(self._settings.camera_names))

    def _guess_use(self, segmenter: FrameSegmenter) -> FrameUse:
        """Return the size and outputs that the first frame is expected to have."""
        output = self._settings.output
        return FrameUse(segmenter.card.size_hw, output.min_confidence > 0, output.size)

    def _hand_over(self, swappable: SwappableSegmenter, better: FrameSegmenter) -> None:
        """Swap the models in a worker task, so that no frame is being segmented."""
        try:
            self.workers.run(lambda: swappable.swap(better)).result()
        except CancelledError:
            better.close()
            raise UpgradeStopped from None
        except BaseException:
            better.close()
            raise

    def _wait(self, future: "Future[Result]") -> Result:
        while not wait([future], POLL_PERIOD_S).done:
            self._keep_waiting()
        return future.result()


def _warm_for(segmenter: FrameSegmenter, use: FrameUse) -> None:
    """Segment black images of this kind, in every batch size."""
    black_HWC = np.zeros((*use.size_hw, 3), np.uint8)
    for count in range(1, segmenter.largest_batch + 1):
        segmenter.segment_many(
            [black_HWC] * count, [use.with_confidence] * count, output_size=use.output_size
        )


def describe_model(segmenter: FrameSegmenter, settings: NodeSettings) -> dict[str, Any]:
    """Return the model, backend and sizes in use, for the log and the diagnostics."""
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
