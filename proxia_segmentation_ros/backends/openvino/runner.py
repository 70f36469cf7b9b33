"""Run compiled OpenVINO graphs: resize, network, argmax post-processing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import openvino as ov

from proxia_segmentation_ros.backends.contract import FramePlan, LabelledImage
from proxia_segmentation_ros.backends.preprocess import resize_image
from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.errors import BackendError


@dataclass(frozen=True, eq=False)
class NetworkFeed:
    """An infer request of the network with its own input and output memory."""

    request: Any
    image_1HWC: ov.Tensor
    logits_1Khw: ov.Tensor

    @classmethod
    def of(cls, compiled: ov.CompiledModel) -> "NetworkFeed":
        """Create an infer request and its memory."""
        request = compiled.create_infer_request()
        logits_1Khw = ov.Tensor(ov.Type.f32, compiled.output(0).shape)
        request.set_output_tensor(logits_1Khw)
        image_1HWC = ov.Tensor(ov.Type.u8, compiled.input(0).shape)
        request.set_input_tensor(image_1HWC)
        return cls(request, image_1HWC, logits_1Khw)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (1, K, h, w) of the logits."""
        one, classes, height, width = self.logits_1Khw.shape
        return one, classes, height, width


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """A network for one size; `streams` concurrent calls share its `threads`."""

    compiled: ov.CompiledModel
    streams: int
    threads: int
    _feeds: dict[int, NetworkFeed] = field(default_factory=dict)

    def find_feed(self, index: int) -> NetworkFeed:
        """Return the infer request of the lane with this index."""
        if index not in self._feeds:
            self._feeds[index] = NetworkFeed.of(self.compiled)
        return self._feeds[index]


class ArgmaxRequest:
    """An infer request of the argmax graph; one call at a time."""

    def __init__(self, request: Any, label_dtype: type[np.generic]) -> None:
        self._request = request
        self._label_dtype = label_dtype
        self._least = np.zeros(1, np.float32)
        self._least_tensor = ov.Tensor(self._least, shared_memory=True)

    def run(
        self, logits_1Khw: ov.Tensor, with_confidence: bool, min_confidence: float
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return copies of labels_HW and confidence_HW; raises RuntimeError if OpenVINO fails."""
        self._request.set_input_tensor(0, logits_1Khw)
        if with_confidence:
            self._least[0] = min_confidence
            self._request.set_input_tensor(1, self._least_tensor)
        self._request.infer()
        labels_HW = self._view_output(0).astype(self._label_dtype)
        return labels_HW, self._view_output(1).copy() if with_confidence else None

    def _view_output(self, index: int) -> np.ndarray:
        pixels_HW: np.ndarray = self._request.get_output_tensor(index).data[0, 0]
        return pixels_HW


class Labeller(Protocol):
    """Turns logits into labels."""

    def run(
        self, logits_1Khw: ov.Tensor, with_confidence: bool, min_confidence: float
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return labels_HW and confidence_HW; raises RuntimeError if OpenVINO fails."""


class RunnerParts(NamedTuple):
    """What runs a plan: the network and the argmax post-processing."""

    feed: NetworkFeed
    labels: Labeller


class OpenVinoRunner:
    """Runs one plan: resize, network, argmax. Logits are passed by pointer, without a copy."""

    def __init__(
        self,
        plan: FramePlan,
        find_parts: Callable[[], RunnerParts],
        scales: tuple[float, ...],
    ) -> None:
        self._plan = plan
        self._find_parts = find_parts
        self._scales = scales

    def __call__(
        self, images_HWC: Sequence[np.ndarray], min_confidence: float, clock: StageClock
    ) -> list[LabelledImage]:
        (image_HWC,) = images_HWC
        plan, (feed, labels) = self._plan, self._find_parts()
        try:
            # A copy: OpenVINO does not accept read-only memory, such as views of messages.
            np.copyto(feed.image_1HWC.data[0], resize_image(image_HWC, plan.network_hw))
            clock.mark("pre")
            feed.request.infer()
            clock.mark("infer")
            labels_HW, confidence_HW = labels.run(
                feed.logits_1Khw, plan.with_confidence, min_confidence
            )
        except RuntimeError as error:
            raise make_run_error(str(plan), error) from error
        clock.mark("post")
        return [LabelledImage(labels_HW, confidence_HW, scales=self._scales)]


def make_run_error(what: str, error: RuntimeError) -> BackendError:
    """Return the error of a graph that failed while it ran."""
    return BackendError.from_parts(
        f"OpenVINO failed on {what} ({error})",
        "a network that runs",
        "set inference.backend to torch, or report it",
    )
