"""The main entry point of inference: RGB image in, class ids out. Imports no torch itself."""

import logging
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import Self

from proxia_segmentation_ros.backends.contract import (
    ALONE,
    Backend,
    FramePlan,
    LabelledImage,
    Lane,
    Runner,
    resolve_size,
)
from proxia_segmentation_ros.backends.network_source import (
    LoadedNetwork,
    NetworkSource,
    WeightFile,
)
from proxia_segmentation_ros.backends.preprocess import check_image
from proxia_segmentation_ros.backends.pruned.tile_selection import (
    NO_PRUNING,
    TILE_BUDGET,
    TILE_MAX_AGE,
    TILE_THRESHOLD,
    Pruning,
)
from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.config import OUTPUT_DEFAULTS, SizeHW, check_inference
from proxia_segmentation_ros.errors import BackendError, ConfigError
from proxia_segmentation_ros.inference.backend_choice import (
    choose_pruning,
    choose_scales,
    open_backend,
)
from proxia_segmentation_ros.inference.lanes import Lanes
from proxia_segmentation_ros.inference.self_test import NetworkTests
from proxia_segmentation_ros.model.card import ModelCard

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

KEPT_RUNNERS = 8


@dataclass(frozen=True)
class Segmentation:
    """Class ids of one image; the arrays are not shared with later calls.

    `labels` is uint8 (uint16 above 255 classes) of shape (H, W), 255 (65535) where unlabeled.
    `confidence` is uint8 of the same shape, 255 times the probability of the most probable
    class, or None if not requested. `network_size_hw` is the input size of the network.
    `tiles_run` of `tiles_total` tiles were run, at these `scales`. `stages_ms` are the
    milliseconds of `pre`, `infer` and `post`; images of one batch share them.
    """

    labels: np.ndarray
    confidence: np.ndarray | None
    network_size_hw: SizeHW
    tiles_run: int = 1
    tiles_total: int = 1
    scales: tuple[float, ...] = (1.0,)
    stages_ms: dict[str, float] = field(default_factory=dict)


class Segmenter:
    """A loaded network that labels images of any size; thread-safe, `lanes` calls run at a time."""

    def __init__(
        self,
        model: "nn.Module",
        card: ModelCard,
        *,
        backend: str = "auto",
        precision: str = "auto",
        size: str = "card",
        scales: Sequence[float] = (),
        threads: int = 0,
        cache_dir: str | Path | None = None,
        tile_threshold: float = TILE_THRESHOLD,
        tile_budget: float = TILE_BUDGET,
        tile_max_age: int = TILE_MAX_AGE,
        latency_budget_ms: float = 0.0,
    ) -> None:
        """Use a network that is in memory; arguments and errors as in `from_weights`."""
        source = LoadedNetwork(model, card)
        pruning = Pruning(
            tile_threshold=tile_threshold,
            tile_budget=tile_budget,
            tile_max_age=tile_max_age,
            latency_budget_ms=latency_budget_ms,
        )
        self._set_up(source, backend, precision, size, scales, threads, cache_dir, pruning)

    @classmethod
    def from_weights(
        cls,
        path_or_name: str | Path = "default",
        *,
        backend: str = "auto",
        precision: str = "auto",
        size: str = "card",
        scales: Sequence[float] = (),
        threads: int = 0,
        cache_dir: str | Path | None = None,
        tile_threshold: float = TILE_THRESHOLD,
        tile_budget: float = TILE_BUDGET,
        tile_max_age: int = TILE_MAX_AGE,
        latency_budget_ms: float = 0.0,
        may_build: bool = True,
        self_test: bool = True,
    ) -> Self:
        """Load shipped weights by name, or a weight file.

        `size` is the input size of the network: `card`, `input` or `WxH`. Empty `scales` are those
        of the model card. `threads` 0 lets the backend choose. `cache_dir` holds compiled networks.
        The `tile_` settings and `latency_budget_ms` apply to several scales; see
        `backends.pruned.tile_selection.Pruning`. If `may_build` is False, TensorRT engines must be
        in the cache. Without `self_test` the network is used as it is, to find out what it does.

        Raises:
            WeightsError: the weights are missing or broken.
            BackendError: the backend is missing, or does not support the precision or network.
            ConfigError: a setting is out of its range, or one scale has a latency budget.
        """
        self = cls.__new__(cls)
        source = WeightFile(path_or_name)
        if not self_test:
            source.self_test = None
        pruning = Pruning(
            tile_threshold=tile_threshold,
            tile_budget=tile_budget,
            tile_max_age=tile_max_age,
            latency_budget_ms=latency_budget_ms,
        )
        self._set_up(
            source, backend, precision, size, scales, threads, cache_dir, pruning, may_build
        )
        return self

    def _set_up(
        self,
        source: NetworkSource,
        backend: str,
        precision: str,
        size: str,
        scales: Sequence[float],
        threads: int,
        cache_dir: str | Path | None,
        pruning: Pruning,
        may_build: bool = True,
    ) -> None:
        self.card = source.card
        self.label_set = source.card.to_label_set()
        self._lanes = Lanes()
        # No lock: the runners of a lane are only used by the call that holds the lane.
        self._runners: dict[Lane, OrderedDict[tuple[FramePlan, ...], Runner]] = {}
        self._batch_sizes: tuple[int, ...] = (1,)
        self._size = size
        network_hw = resolve_size("size", size, ("card", "input"), {"card": self.card.size_hw})
        check_inference({"threads": threads})
        scales = self.scales = choose_scales(scales, self.card)
        self._backend: Backend | None = None
        pruning = self.pruning = choose_pruning(pruning, scales)
        wanted_hw = None if size == "input" else network_hw
        self._backend = open_backend(
            source, backend, precision, scales, threads, cache_dir, wanted_hw, pruning, may_build
        )
        self._tests = NetworkTests(source, scales, wanted_hw)
        if not self._backend.is_pruned:
            self.pruning = NO_PRUNING
        logger.info(
            "backend %s, precision %s, on %s", self.backend, self.precision, self.device_name
        )

    @property
    def backend(self) -> str:
        """`openvino`, `tensorrt` or `torch`."""
        return self._require_backend().name

    @property
    def precision(self) -> str:
        """Precision that the network really runs in: `f32`, `bf16`, `f16` or `int8`."""
        return self._require_backend().precision

    @property
    def device_name(self) -> str:
        """Name of the processor."""
        return self._require_backend().device_name

    @property
    def largest_batch(self) -> int:
        """Largest batch that was compiled by `warm_up`."""
        return self._batch_sizes[-1]

    @property
    def lanes(self) -> int:
        """Number of calls that may run concurrently since `warm_up`; further ones wait."""
        return self._lanes.count

    @property
    def threads(self) -> int:
        """CPU threads of the backend."""
        return self._require_backend().threads

    def segment(
        self,
        image_HWC: np.ndarray,
        with_confidence: bool = False,
        *,
        output_size: str = OUTPUT_DEFAULTS.size,
        min_confidence: float = OUTPUT_DEFAULTS.min_confidence,
        stream: str = "",
    ) -> Segmentation:
        """Label one RGB image.

        `output_size` is `input`, `network` or `WxH`. Pixels whose probability is below
        `min_confidence` (0..1) become unlabeled. `stream` names the camera of which this is the
        next frame: with several scales, unchanged tiles are reused. Empty is a still image.

        Raises:
            InputError: the image is not (H, W, 3) uint8 of at least 16 pixels a side.
            ConfigError: `output_size` or `min_confidence` is out of its range.
            BackendError: the segmenter is closed, or the backend fails.
            WeightsError: the weights fail their self-test in a size that is new.
        """
        return self.segment_many(
            [image_HWC],
            [with_confidence],
            output_size=output_size,
            min_confidence=min_confidence,
            streams=[stream],
        )[0]

    def segment_many(
        self,
        images_HWC: Sequence[np.ndarray],
        with_confidence: Sequence[bool],
        *,
        output_size: str = OUTPUT_DEFAULTS.size,
        min_confidence: float = OUTPUT_DEFAULTS.min_confidence,
        streams: Sequence[str] | None = None,
    ) -> list[Segmentation]:
        """Label several images of any sizes, in batches of the sizes compiled by `warm_up`.

        All batches run one after the other in one lane. To use several lanes, call this from
        several threads.

        Arguments and errors as in `segment`; one bad image fails the whole call. Without
        `streams` all are still images.
        """
        if not 0 <= min_confidence <= 1:
            raise ConfigError.from_parts(
                f"min_confidence is {min_confidence}", "a number from 0 to 1", "set it to such"
            )
        images_HWC = [check_image(image_HWC) for image_HWC in images_HWC]
        plans = [
            self._make_plan(image_HWC.shape[:2], output_size, wants or min_confidence > 0, stream)
            for image_HWC, wants, stream in zip(
                images_HWC, with_confidence, streams or [""] * len(images_HWC), strict=True
            )
        ]
        found: dict[int, Segmentation] = {}
        with self._lanes.take() as lane:
            for batch in self._split_into_batches(plans):
                clock = StageClock()
                runner = self._find_runner(tuple(plans[i] for i in batch), lane)
                clock.skip()
                labelled = runner([images_HWC[i] for i in batch], min_confidence, clock)
                for i, image in zip(batch, labelled, strict=True):
                    found[i] = _describe(image, plans[i], with_confidence[i], clock)
        return [found[i] for i in range(len(plans))]

    def warm_up(self, size_hw: SizeHW, batch: int = 1) -> None:
        """Compile for images of this size and run once, so that the first frame is not slower.

        If the network has a fixed size, up to `batch` images then run at the same time: as one
        batch or as concurrent calls in `lanes`, whichever is faster with the backend.

        Raises:
            InputError: images of this size are not allowed.
            BackendError: it failed, for example for lack of memory; try a smaller `batch`.
        """
        started_s = time.monotonic()
        image_HWC = check_image(np.zeros((*size_hw, 3), np.uint8))
        plan = self._make_plan(size_hw, "input", False, "")
        batch = batch if self._size != "input" else 1
        with self._lanes.take_all():
            backend = self._require_backend()
            self._batch_sizes = tuple(size for size in backend.batch_sizes if size <= batch) or (1,)
            self._lanes.open(1, (1,))
            for count in self._batch_sizes:
                self._find_runner((plan,) * count, ALONE)([image_HWC] * count, 0.0, StageClock())
            # Only now: the backend knows its threads once a network has been compiled.
            lanes = max(1, min(batch, backend.shares[-1], backend.threads))
            self._lanes.open(lanes, backend.shares)
            kept = self._lanes.list_all()
            self._runners = {lane: self._runners.get(lane, OrderedDict()) for lane in kept}
            for lane in kept:
                if lane != ALONE:
                    self._find_runner((plan,), lane)([image_HWC], 0.0, StageClock())
        logger.info(
            "warmed up for %dx%d in %.1f s", size_hw[1], size_hw[0], time.monotonic() - started_s
        )

    def close(self) -> None:
        """Free the network; closing twice is fine."""
        with self._lanes.take_all():
            self._runners.clear()
            if self._backend is not None:
                self._backend.close()
            self._backend = None

    def _make_plan(
        self, input_hw: SizeHW, output_size: str, with_confidence: bool, stream: str
    ) -> FramePlan:
        network_hw = resolve_size(
            "size",
            self._size,
            ("card", "input"),
            {"card": self.card.size_hw, "input": input_hw},
        )
        output_hw = resolve_size(
            "output_size",
            output_size,
            ("input", "network"),
            {"input": input_hw, "network": network_hw},
        )
        return FramePlan(
            input_hw=input_hw,
            network_hw=network_hw,
            output_hw=output_hw,
            with_confidence=with_confidence,
            # Without tile reuse the stream does not matter; one name for all cameras lets them
            # share a runner.
            stream=stream if self.pruning.is_video else "",
        )

    def _split_into_batches(self, plans: Sequence[FramePlan]) -> Iterator[list[int]]:
        """Yield batches as lists of indices: equal network size, and a compiled batch size."""
        groups: dict[SizeHW, list[int]] = {}
        for index, plan in enumerate(plans):
            groups.setdefault(plan.network_hw, []).append(index)
        for group in groups.values():
            waiting = group
            while waiting:
                size = max(size for size in self._batch_sizes if size <= len(waiting))
                yield waiting[:size]
                waiting = waiting[size:]

    def _find_runner(self, plans: tuple[FramePlan, ...], lane: Lane) -> Runner:
        backend = self._require_backend()
        runners = self._runners.setdefault(lane, OrderedDict())
        runner = runners.get(plans)
        if runner is None:
            self._tests.check(backend, plans[0].network_hw, len(plans), lane)
            runner = backend.prepare(plans, lane)
            runners[plans] = runner
            if len(runners) > KEPT_RUNNERS:
                runners.popitem(last=False)
        runners.move_to_end(plans)
        return runner

    def _require_backend(self) -> Backend:
        if self._backend is None:
            raise BackendError.from_parts(
                "the segmenter is closed", "an open one", "make a new Segmenter"
            )
        return self._backend


def _describe(
    image: LabelledImage, plan: FramePlan, with_confidence: bool, clock: StageClock
) -> Segmentation:
    return Segmentation(
        labels=image.labels_HW,
        confidence=image.confidence_HW if with_confidence else None,
        network_size_hw=plan.network_hw,
        tiles_run=image.tiles_run,
        tiles_total=image.tiles_total,
        scales=image.scales,
        stages_ms=clock.stages_ms,
    )
