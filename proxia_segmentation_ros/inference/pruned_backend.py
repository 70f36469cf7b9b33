"""A backend whose multi-scale network runs pruned, around one that can run single passes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.inference.frame_plan import (
    Backend,
    FramePlan,
    LabelledImage,
    Runner,
)
from proxia_segmentation_ros.inference.preprocess import resize_image
from proxia_segmentation_ros.inference.pruned_network import Effort, PrunedNetwork
from proxia_segmentation_ros.inference.scale_passes import ScalePasses
from proxia_segmentation_ros.inference.tile_choice import Pruning
from proxia_segmentation_ros.inference.timing import StageClock


@runtime_checkable
class SplitBackend(Backend, Protocol):
    """A backend that can run a network's scales one by one."""

    def make_passes(self, network_hw: SizeHW) -> ScalePasses:
        """Return passes over images of this size."""


class PrunedBackend:
    """Takes one image at a time; each network size has its own passes and cameras' memories."""

    batch_sizes: tuple[int, ...] = (1,)

    def __init__(self, inner: SplitBackend, scales: Sequence[float], pruning: Pruning) -> None:
        self._inner = inner
        self._scales = tuple(scales)
        self._effort = Effort(
            self._scales, pruning.tile_threshold, pruning.tile_budget, pruning.tile_max_age
        )
        self._networks: dict[SizeHW, PrunedNetwork] = {}

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
        """Return the network for this size; its graphs are compiled by the first image."""
        network = self._networks.get(network_hw)
        if network is None:
            network = PrunedNetwork(self._inner.make_passes(network_hw), self._scales, network_hw)
            self._networks[network_hw] = network
        return network

    def prepare(self, plans: tuple[FramePlan, ...]) -> Runner:
        """Return a runner for the one plan."""
        (plan,) = plans
        network = self.load_network(plan.network_hw)

        def run(
            images_HWC: Sequence[np.ndarray], min_confidence: float, clock: StageClock
        ) -> list[LabelledImage]:
            (image_HWC,) = images_HWC
            return [self._run(network, plan, image_HWC, min_confidence, clock)]

        return run

    def close(self) -> None:
        """Free everything."""
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
        # Copied where it is not resized: OpenVINO takes no read-only memory.
        image_HWC = np.require(resize_image(image_HWC, plan.network_hw), requirements=["C", "W"])
        clock.mark("pre")
        seen = network.see(image_HWC, self._effort, plan.stream)
        clock.mark("infer")
        labelled = network.passes.label(seen.logits_1Khw, plan, min_confidence)
        clock.mark("post")
        return replace(
            labelled, tiles_run=seen.tiles_run, tiles_total=seen.tiles_total, scales=seen.scales
        )
