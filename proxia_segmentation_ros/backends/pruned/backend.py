"""A backend that runs a multi-scale network pruned, on top of a backend with single passes."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from proxia_segmentation_ros.backends.contract import (
    ALONE,
    Backend,
    FramePlan,
    LabelledImage,
    Lane,
    Runner,
)
from proxia_segmentation_ros.backends.preprocess import resize_image
from proxia_segmentation_ros.backends.pruned.latency_budget import LatencyBudget
from proxia_segmentation_ros.backends.pruned.network import ROUNDING, ComputeLimits, PrunedNetwork
from proxia_segmentation_ros.backends.pruned.tile_selection import Pruning
from proxia_segmentation_ros.backends.scale_passes import ScalePasses
from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.config import SizeHW

logger = logging.getLogger(__name__)

KEPT_NETWORKS = 4


@runtime_checkable
class SplitBackend(Backend, Protocol):
    """A backend that can run the scales of a network separately."""

    def make_passes(self, network_hw: SizeHW) -> ScalePasses:
        """Return passes over images of this size."""


class PrunedBackend:
    """Takes an image at a time. Each network size has its own passes and states of cameras."""

    is_pruned: bool = True
    batch_sizes: tuple[int, ...] = (1,)
    shares: tuple[int, ...] = (1,)

    def __init__(
        self, inner: SplitBackend, scales: Sequence[float], pruning: Pruning, classes: int
    ) -> None:
        self._inner = inner
        self._scales = tuple(scales)
        self._classes = classes
        self._pruning = pruning
        self._networks: OrderedDict[SizeHW, PrunedNetwork] = OrderedDict()
        self._budgets: dict[SizeHW, LatencyBudget] = {}
        self._missed_budgets: set[SizeHW] = set()
        self._warm_plans: set[FramePlan] = set()

    @property
    def name(self) -> str:
        """The inner backend's."""
        return self._inner.name

    @property
    def precision(self) -> str:
        """The inner backend's."""
        return self._inner.precision

    @property
    def device_name(self) -> str:
        """The inner backend's."""
        return self._inner.device_name

    @property
    def threads(self) -> int:
        """CPU threads in use."""
        return self._inner.threads

    def load_network(self, network_hw: SizeHW, batch: int = 1) -> PrunedNetwork:  # noqa: ARG002
        """Return the network for this size with all graphs compiled."""
        network = self._networks.get(network_hw)
        if network is None:
            passes = self._inner.make_passes(network_hw)
            network = PrunedNetwork(passes, self._scales, network_hw)
            network.warm_up(self._pruning.tile_budget)
            self._networks[network_hw] = network
            if len(self._networks) > KEPT_NETWORKS:
                dropped, _ = self._networks.popitem(last=False)
                self._budgets.pop(dropped, None)
                self._warm_plans = {plan for plan in self._warm_plans if plan.network_hw != dropped}
        self._networks.move_to_end(network_hw)
        return network

    def prepare(self, plans: tuple[FramePlan, ...], lane: Lane = ALONE) -> Runner:  # noqa: ARG002
        """Return a runner for the single plan."""
        (plan,) = plans
        network = self.load_network(plan.network_hw)
        self._warm_labels(network, replace(plan, stream=""))

        def run(
            images_HWC: Sequence[np.ndarray], min_confidence: float, clock: StageClock
        ) -> list[LabelledImage]:
            (image_HWC,) = images_HWC
            return [self._run(network, plan, image_HWC, min_confidence, clock)]

        return run

    def discard_cached(self, network_hw: SizeHW, batch: int = 1) -> bool:
        """Remove the network of this size and batch, there and here, if it came from the cache."""
        if not self._inner.discard_cached(network_hw, batch):
            return False
        self._networks.pop(network_hw, None)
        return True

    def close(self) -> None:
        """Release all resources."""
        self._networks.clear()
        self._inner.close()

    def _run(
        self,
        network: PrunedNetwork,
        plan: FramePlan,
        image_HWC: np.ndarray,
        min_confidence: float,
        clock: StageClock,
    ) -> LabelledImage:
        # A copy if it was not resized: OpenVINO does not accept read-only memory.
        image_HWC = np.require(resize_image(image_HWC, plan.network_hw), requirements=["C", "W"])
        clock.mark("pre")
        output = network.run(image_HWC, self._choose_limits(network), plan.stream)
        clock.mark("infer")
        labelled = network.passes.label(output.logits_1Khw, plan, min_confidence)
        clock.mark("post")
        self._report(network, output.work, sum(clock.stages_ms.values()))
        return replace(
            labelled,
            tiles_run=output.tiles_run,
            tiles_total=output.tiles_total,
            scales=output.scales,
        )

    def _warm_labels(self, network: PrunedNetwork, plan: FramePlan) -> None:
        """Compile the argmax for logits of each size that fusing may leave."""
        if plan in self._warm_plans:
            return
        for map_hw in network.list_logit_sizes():
            network.passes.label(np.zeros((1, self._classes, *map_hw), np.float32), plan, 0.0)
        self._warm_plans.add(plan)

    def _choose_limits(self, network: PrunedNetwork) -> ComputeLimits:
        pruning = self._pruning
        budget = pruning.tile_budget
        if pruning.latency_budget_ms:
            latency = self._find_budget(network)
            budget = network.list_work_levels()[latency.level] / network.larger_work
        return ComputeLimits(pruning.tile_threshold, budget, pruning.tile_max_age)

    def _report(self, network: PrunedNetwork, work: float, elapsed_ms: float) -> None:
        if not self._pruning.latency_budget_ms:
            return
        latency = self._find_budget(network)
        level_before = latency.level
        latency.report(work, elapsed_ms)
        if latency.level != level_before:
            logger.info("latency budget: level %d after %d", latency.level, level_before)
        if latency.is_too_small and network.network_hw not in self._missed_budgets:
            self._missed_budgets.add(network.network_hw)
            logger.warning(
                "latency_budget_ms is %g; expected more than the smallest scale takes alone, "
                "%.0f ms just now; raise it or leave out scales",
                latency.budget_ms,
                elapsed_ms,
            )

    def _find_budget(self, network: PrunedNetwork) -> LatencyBudget:
        key = network.network_hw
        if key not in self._budgets:
            most = self._pruning.tile_budget * network.larger_work + ROUNDING
            smallest = self._scales[0] ** 2
            works = [smallest + work for work in network.list_work_levels() if work <= most]
            self._budgets[key] = LatencyBudget(self._pruning.latency_budget_ms, works)
        return self._budgets[key]
