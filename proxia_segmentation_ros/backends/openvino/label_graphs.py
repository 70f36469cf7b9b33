"""The argmax graphs of recent output sizes, and their infer requests."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import openvino as ov

from proxia_segmentation_ros.backends.kept import Kept
from proxia_segmentation_ros.backends.openvino.argmax import build_argmax_graph
from proxia_segmentation_ros.backends.openvino.runner import ArgmaxRequest
from proxia_segmentation_ros.backends.openvino.strips import (
    StripPlan,
    StripRequest,
    build_strip_graph,
)
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.labels import LabelSet

# Measured (docs/decisions/013-memory-of-sizes.md).
BYTES_PER_GRAPH = 6 * 2**20
BYTES_PER_PIXEL = 20
BYTES_PER_PIXEL_WITH_CONFIDENCE = 26
# For each class above this number.
BYTES_PER_PIXEL_AND_CLASS = 1.5
CLASSES_INCLUDED = 11
# Five graphs of 1920x1080, four of them with confidence, or one of 3840x2160.
MAX_BYTES = 256 * 2**20
# A pruned network needs one for each size of fused logits.
MAX_COUNT = 24
# Larger outputs are computed in strips: half as fast, with a tenth of the memory.
MAX_WHOLE_PIXELS = 9_000_000

LabelRequest: TypeAlias = ArgmaxRequest | StripRequest
LogitsShape: TypeAlias = tuple[int, int, int, int]


class _Key(NamedTuple):
    logits_shape: LogitsShape
    output_hw: SizeHW
    with_confidence: bool


@dataclass(frozen=True, eq=False)
class _LabelGraph:
    """A compiled graph and its requests, by the index of the lane that uses them."""

    compiled: ov.CompiledModel
    plan: StripPlan | None
    requests: dict[int, LabelRequest] = field(default_factory=dict)


class LabelGraphs:
    """Compiles graphs on first use and keeps the recent ones; thread-safe.

    A graph is shared by all lanes, which rarely need it at the same time: one for each lane would
    delay the first frame of a size by its compilation.
    """

    def __init__(
        self, compile_graph: Callable[[ov.Model], ov.CompiledModel], label_set: LabelSet
    ) -> None:
        self._compile = compile_graph
        self._label_set = label_set
        self._compiling = threading.Lock()
        self._kept: Kept[_Key, _LabelGraph] = Kept(MAX_BYTES, MAX_COUNT)

    def find(
        self,
        logits_shape: LogitsShape,
        output_hw: SizeHW,
        *,
        with_confidence: bool,
        temperature: float,
        lane: int = 0,
    ) -> LabelRequest:
        """Return the request of a lane, for one call at a time.

        Raises:
            BackendError: OpenVINO refuses the graph.
        """
        key = _Key(logits_shape, output_hw, with_confidence)
        graph = self._kept.get(key)
        if graph is None:
            with self._compiling:
                # Another lane may have compiled it meanwhile.
                graph = self._kept.get(key) or self._make(key, temperature)
        request = graph.requests.get(lane)
        if request is None:
            request = self._make_request(graph, output_hw)
            graph.requests[lane] = request
        return request

    def clear(self) -> None:
        """Release the graphs; those in use live until their call ends."""
        self._kept.clear()

    def _make(self, key: _Key, temperature: float) -> _LabelGraph:
        shape, output_hw, with_confidence = key
        pixels = output_hw[0] * output_hw[1]
        options: dict[str, Any] = {
            "with_confidence": with_confidence,
            "temperature": temperature,
            "unlabeled_id": self._label_set.unlabeled_id,
        }
        plan = StripPlan.make(shape, output_hw) if pixels > MAX_WHOLE_PIXELS else None
        if plan is not None:
            pixels = plan.rows * output_hw[1]
        cost = _estimate_bytes(pixels, shape[1], with_confidence)
        self._kept.make_room(cost)
        if plan is None:
            model = build_argmax_graph(shape, output_hw, **options)
        else:
            model = build_strip_graph(shape, output_hw[1], plan, **options)
        graph = _LabelGraph(self._compile(model), plan)
        self._kept.put(key, graph, cost)
        return graph

    def _make_request(self, graph: _LabelGraph, output_hw: SizeHW) -> LabelRequest:
        request = graph.compiled.create_infer_request()
        label_dtype: type[np.generic] = self._label_set.label_dtype
        if graph.plan is None:
            return ArgmaxRequest(request, label_dtype)
        return StripRequest(request, graph.plan, output_hw, label_dtype)


def _estimate_bytes(pixels: int, classes: int, with_confidence: bool) -> int:
    """Return about how much memory a graph takes once it has run."""
    each = BYTES_PER_PIXEL_WITH_CONFIDENCE if with_confidence else BYTES_PER_PIXEL
    more = BYTES_PER_PIXEL_AND_CLASS * max(0, classes - CLASSES_INCLUDED)
    return BYTES_PER_GRAPH + round(pixels * (each + more))
