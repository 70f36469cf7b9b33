"""The `torch` backend: the graph run eagerly on the CPU, the reference for all others."""

import contextlib
from typing import Any

import numpy as np
import torch

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.inference.frame_plan import FramePlan, Runner
from proxia_segmentation_ros.inference.network_source import NetworkSource
from proxia_segmentation_ros.inference.precision import describe_cpu
from proxia_segmentation_ros.inference.preprocess import resize_image
from proxia_segmentation_ros.inference.torch_graph import (
    PIXEL_MAX,
    NetworkGraph,
    label_pixels,
    label_pixels_surely,
)


class TorchBackend:
    """Runs any plan at once; nothing is compiled, so nothing is cached."""

    name = "torch"

    def __init__(
        self, source: NetworkSource, *, precision: str, scales: tuple[float, ...], threads: int
    ) -> None:
        if threads:
            torch.set_num_threads(threads)
        label_set = source.card.to_label_set()
        self.precision = precision
        self.device_name = describe_cpu()
        self._graph = NetworkGraph(source.load(), source.card, scales).eval()
        self._temperature = source.card.temperature
        self._unlabeled_id = label_set.unlabeled_id
        self._label_dtype = label_set.label_dtype

    @property
    def threads(self) -> int:
        """CPU threads in use."""
        return torch.get_num_threads()

    def load_network(self, network_hw: SizeHW) -> object:  # noqa: ARG002
        """Return the network, which takes any size."""
        return self._graph

    def prepare(self, plan: FramePlan) -> Runner:
        """Return the plan bound to the network."""

        def run(
            image_HWC: np.ndarray, min_confidence: float
        ) -> tuple[np.ndarray, np.ndarray | None]:
            return self._run(plan, image_HWC, min_confidence)

        return run

    def close(self) -> None:
        """Nothing outlives the object itself."""

    def _run(
        self, plan: FramePlan, image_HWC: np.ndarray, min_confidence: float
    ) -> tuple[np.ndarray, np.ndarray | None]:
        image_HWC = resize_image(image_HWC, plan.network_hw)
        with torch.inference_mode():
            with self._pick_arithmetic():
                logits_NKHW = self._graph(_as_batch(image_HWC))
            logits_NKHW = logits_NKHW.float()
            if not plan.with_confidence:
                return self._to_labels(label_pixels(logits_NKHW, plan.output_hw)), None
            ids_NHW, probability_NHW = label_pixels_surely(
                logits_NKHW, plan.output_hw, self._temperature
            )
            ids_NHW = ids_NHW.where(probability_NHW >= min_confidence, self._unlabeled_id)
            confidence_NHW = (probability_NHW * PIXEL_MAX).round().to(torch.uint8)
            return self._to_labels(ids_NHW), confidence_NHW[0].numpy()

    def _pick_arithmetic(self) -> contextlib.AbstractContextManager[Any]:
        if self.precision == "bf16":
            return torch.autocast("cpu", torch.bfloat16)
        return contextlib.nullcontext()

    def _to_labels(self, ids_NHW: torch.Tensor) -> np.ndarray:
        return ids_NHW[0].numpy().astype(self._label_dtype)


def _as_batch(image_HWC: np.ndarray) -> torch.Tensor:
    if not image_HWC.flags.writeable:
        # torch warns about read-only memory although nothing here writes to it.
        image_HWC = image_HWC.copy()
    return torch.from_numpy(image_HWC).unsqueeze(0)
