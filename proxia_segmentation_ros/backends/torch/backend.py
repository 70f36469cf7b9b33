"""The `torch` backend: eager PyTorch on the CPU, against which all others are tested."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from proxia_segmentation_ros.backends.contract import (
    ALONE,
    FramePlan,
    LabelledImage,
    Lane,
    Runner,
)
from proxia_segmentation_ros.backends.graph.torch_graph import (
    PIXEL_MAX,
    NetworkGraph,
    argmax_labels,
    argmax_labels_and_confidence,
)
from proxia_segmentation_ros.backends.network_source import NetworkSource
from proxia_segmentation_ros.backends.precision import describe_cpu
from proxia_segmentation_ros.backends.preprocess import resize_image
from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.backends.torch.passes import TorchPasses
from proxia_segmentation_ros.config import SizeHW


class TorchBackend:
    """Runs any plan immediately; nothing is compiled or cached."""

    name = "torch"
    is_pruned: bool = False
    batch_sizes: tuple[int, ...] = (1, 2, 4)
    shares: tuple[int, ...] = (1,)

    def __init__(
        self, source: NetworkSource, *, precision: str, scales: tuple[float, ...], threads: int
    ) -> None:
        if threads:
            torch.set_num_threads(threads)
        label_set = source.card.to_label_set()
        self.precision = precision
        self.device_name = describe_cpu()
        self._graph = NetworkGraph(source.load(), source.card, scales).eval()
        self._card = source.card
        self._temperature = source.card.temperature
        self._unlabeled_id = label_set.unlabeled_id
        self._label_dtype = label_set.label_dtype

    @property
    def threads(self) -> int:
        """CPU threads in use."""
        return torch.get_num_threads()

    def load_network(self, network_hw: SizeHW, batch: int = 1) -> object:  # noqa: ARG002
        """Return the network, which accepts any size and batch."""
        return self._graph

    def prepare(self, plans: tuple[FramePlan, ...], lane: Lane = ALONE) -> Runner:  # noqa: ARG002
        """Return a runner of the plans."""

        def run(
            images_HWC: Sequence[np.ndarray], min_confidence: float, clock: StageClock
        ) -> list[LabelledImage]:
            return self._run(plans, images_HWC, min_confidence, clock)

        return run

    def make_passes(self, network_hw: SizeHW) -> TorchPasses:
        """Return passes at single scales over images of this size."""
        graph, card = self._graph.network, self._card
        return TorchPasses(graph, card, network_hw, self._label, self._autocast)

    def discard_cached(self, network_hw: SizeHW, batch: int = 1) -> bool:  # noqa: ARG002
        """Return False: nothing is cached."""
        return False

    def close(self) -> None:
        """Do nothing: there are no resources to release."""

    def _run(
        self,
        plans: tuple[FramePlan, ...],
        images_HWC: Sequence[np.ndarray],
        min_confidence: float,
        clock: StageClock,
    ) -> list[LabelledImage]:
        batch_NHWC = np.stack(
            [
                resize_image(image_HWC, plan.network_hw)
                for image_HWC, plan in zip(images_HWC, plans, strict=True)
            ]
        )
        clock.mark("pre")
        with torch.inference_mode():
            with self._autocast():
                logits_NKHW = self._graph(torch.from_numpy(batch_NHWC))
            logits_NKHW = logits_NKHW.float()
            clock.mark("infer")
            labelled = [
                self._label(logits_NKHW[i : i + 1], plan, min_confidence)
                for i, plan in enumerate(plans)
            ]
        clock.mark("post")
        return labelled

    def _label(
        self, logits_1KHW: torch.Tensor, plan: FramePlan, min_confidence: float
    ) -> LabelledImage:
        if not plan.with_confidence:
            ids_NHW = argmax_labels(logits_1KHW, plan.output_hw)
            return LabelledImage(self._to_labels(ids_NHW), None, scales=self._graph.scales)
        ids_NHW, probability_NHW = argmax_labels_and_confidence(
            logits_1KHW, plan.output_hw, self._temperature
        )
        ids_NHW = ids_NHW.where(probability_NHW >= min_confidence, self._unlabeled_id)
        confidence_NHW = (probability_NHW * PIXEL_MAX).round().to(torch.uint8)
        confidence_HW = confidence_NHW[0].numpy()
        return LabelledImage(self._to_labels(ids_NHW), confidence_HW, scales=self._graph.scales)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.precision == "bf16":
            return torch.autocast("cpu", torch.bfloat16)
        return contextlib.nullcontext()

    def _to_labels(self, ids_NHW: torch.Tensor) -> np.ndarray:
        return ids_NHW[0].numpy().astype(self._label_dtype)
