"""The `openvino` backend: network and label rule compiled for the CPU, the network cached."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino as ov

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.inference.compiled_cache import CacheKey, CompiledCache
from proxia_segmentation_ros.inference.frame_plan import FramePlan, LabelledImage, Runner
from proxia_segmentation_ros.inference.network_source import NetworkSource, hash_network_code
from proxia_segmentation_ros.inference.openvino_labels import build_label_graph
from proxia_segmentation_ros.inference.openvino_passes import ConvertPart, OpenVinoPasses
from proxia_segmentation_ros.inference.precision import describe_cpu, read_cpu_flags
from proxia_segmentation_ros.inference.preprocess import resize_image
from proxia_segmentation_ros.inference.timing import StageClock
from proxia_segmentation_ros.model.quantisation import Range

logger = logging.getLogger(__name__)

DEVICE = "CPU"
CACHE_FORMAT = 4
# Runners in use hold theirs besides.
KEPT_NETWORKS = 4
# A pruned network has one for each of its scales' maps.
KEPT_LABEL_GRAPHS = 24


@dataclass(frozen=True, eq=False)
class NetworkLane:
    """A place where one image goes through: it reads `image_1HWC` and writes `logits_1Khw`."""

    request: Any
    image_1HWC: ov.Tensor
    logits_1Khw: ov.Tensor


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """A network for one size, with a lane for each image that goes through at one time."""

    lanes: tuple[NetworkLane, ...]
    threads: int


class OpenVinoBackend:
    """Compiles a network once for each size, a small label graph for each output.

    Images that run together share the threads out, as far as there are some for each: nobody waits
    for another thread after every layer, as the threads of one image do, nor of one batch.
    """

    name = "openvino"
    is_pruned: bool = False
    batch_sizes: tuple[int, ...] = (1, 2, 4)

    def __init__(
        self,
        source: NetworkSource,
        *,
        precision: str,
        scales: tuple[float, ...],
        threads: int,
        cache: CompiledCache,
    ) -> None:
        self.precision = precision
        self.device_name = describe_cpu()
        self._source = source
        self._scales = scales
        self._threads_wanted = threads
        self._cache = cache
        self._label_set = source.card.to_label_set()
        self._core = ov.Core()
        self._networks: OrderedDict[tuple[SizeHW, int], CompiledNetwork] = OrderedDict()
        self._label_requests: OrderedDict[Any, Any] = OrderedDict()
        self._threads = threads

    @property
    def threads(self) -> int:
        """CPU threads in use; 0 until the first network is compiled with the library's choice."""
        return self._threads

    def prepare(self, plans: tuple[FramePlan, ...]) -> Runner:
        """Compile what plans of one network size need.

        Raises:
            BackendError: OpenVINO refuses the graph.
            WeightsError: the weights can't be loaded.
        """
        network = self.load_network(plans[0].network_hw, len(plans))
        shape = tuple(network.lanes[0].logits_1Khw.shape)
        requests = [
            self._find_label_request(shape, plan.output_hw, plan.with_confidence) for plan in plans
        ]
        label_dtype = self._label_set.label_dtype
        return OpenVinoRunner(plans, network.lanes, requests, label_dtype, self._scales)

    def close(self) -> None:
        """Forget the networks; plans still in use keep theirs."""
        self._networks.clear()
        self._label_requests.clear()

    def load_network(self, network_hw: SizeHW, batch: int = 1) -> CompiledNetwork:
        """Return the network with `batch` lanes, from memory, from the cache or compiled anew.

        Raises:
            BackendError: OpenVINO refuses the graph.
            WeightsError: the weights can't be loaded.
        """
        network = self._networks.get((network_hw, batch))
        if network is None:
            network = self._make_network(network_hw, batch)
            self._networks[network_hw, batch] = network
            if len(self._networks) > KEPT_NETWORKS:
                self._networks.popitem(last=False)
        self._networks.move_to_end((network_hw, batch))
        self._threads = network.threads
        return network

    def _find_label_request(
        self, logits_shape: tuple[int, int, int, int], output_hw: SizeHW, with_confidence: bool
    ) -> Any:
        key = logits_shape, output_hw, with_confidence
        request = self._label_requests.get(key)
        if request is None:
            graph = build_label_graph(
                logits_shape,
                output_hw,
                with_confidence=with_confidence,
                temperature=self._source.card.temperature,
                unlabeled_id=self._label_set.unlabeled_id,
            )
            request = self._compile(graph, "f32").create_infer_request()
            self._label_requests[key] = request
            if len(self._label_requests) > KEPT_LABEL_GRAPHS:
                self._label_requests.popitem(last=False)
        self._label_requests.move_to_end(key)
        return request

    def _make_network(self, network_hw: SizeHW, batch: int) -> CompiledNetwork:
        streams = 1 if batch == 1 else min(batch, self.load_network(network_hw).threads)
        compiled = self._find_compiled(
            f"network {self._source.card.name} for {batch} x {network_hw[1]}x{network_hw[0]}",
            {**self._make_key(network_hw), "batch": batch, "streams": streams},
            lambda: self._convert(network_hw),
            self.precision,
            streams,
        )
        self._check_precision(compiled)
        threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        return CompiledNetwork(tuple(_make_lane(compiled) for _ in range(batch)), threads)

    def make_passes(self, network_hw: SizeHW) -> OpenVinoPasses:
        """Return passes at single scales over images of this size."""
        return OpenVinoPasses(self._source, network_hw, self.compile_part, self.label)

    def compile_part(
        self, part: str, network_hw: SizeHW, convert: ConvertPart, *, is_network: bool
    ) -> ov.CompiledModel:
        """Return a part, from the cache or compiled anew; `part` tells all that makes it differ.

        What is not of the network itself is computed in f32.

        Raises:
            BackendError: OpenVINO refuses the graph.
            WeightsError: the weights can't be loaded.
        """
        precision = self.precision if is_network else "f32"
        key = {**self._make_key(network_hw), "part": part, "precision": precision}
        ranges = self._find_ranges() if is_network else {}
        compiled = self._find_compiled(
            f"{part} of {self._source.card.name}", key, lambda: convert(ranges), precision
        )
        if is_network:
            self._check_precision(compiled)
            self._threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        return compiled

    def label(
        self, logits_1Khw: np.ndarray, plan: FramePlan, min_confidence: float
    ) -> LabelledImage:
        """Read the labels off logits of any size."""
        shape: Any = logits_1Khw.shape
        request = self._find_label_request(shape, plan.output_hw, plan.with_confidence)
        request.set_input_tensor(0, ov.Tensor(logits_1Khw, shared_memory=True))
        least = np.full(1, min_confidence, np.float32)
        if plan.with_confidence:
            request.set_input_tensor(1, ov.Tensor(least, shared_memory=True))
        try:
            request.infer()
        except RuntimeError as error:
            raise BackendError.from_parts(
                f"OpenVINO failed on the labels of {plan} ({error})",
                "a graph that runs",
                "set inference.backend to torch, or report it",
            ) from error
        labels_HW = _view_output(request, 0).astype(self._label_set.label_dtype)
        confidence_HW = _view_output(request, 1).copy() if plan.with_confidence else None
        return LabelledImage(labels_HW, confidence_HW, scales=self._scales)

    def _find_compiled(
        self,
        description: str,
        key: CacheKey,
        convert: Callable[[], ov.Model],
        precision: str,
        streams: int = 1,
    ) -> ov.CompiledModel:
        started_s = time.monotonic()
        compiled = self._import_cached(key, precision, streams)
        origin = "from the cache"
        if compiled is None:
            origin = "compiled anew"
            compiled = self._compile(convert(), precision, streams)
            self._cache.store(key, _to_bytes(compiled.export_model()))
        logger.info("%s ready after %.1f s, %s", description, time.monotonic() - started_s, origin)
        return compiled

    def _find_ranges(self) -> Mapping[str, Range]:
        """Return the ranges of the layers to compute in int8."""
        quantisation = self._source.quantisation
        return quantisation.ranges if self.precision == "int8" and quantisation is not None else {}

    def _convert(self, network_hw: SizeHW) -> ov.Model:
        # Only a network that is not in the cache costs the import of torch.
        from proxia_segmentation_ros.inference.openvino_convert import convert_network

        source, ranges = self._source, self._find_ranges()
        return convert_network(source.load(), source.card, self._scales, network_hw, ranges)

    def _compile(self, graph: ov.Model, precision: str, streams: int = 1) -> ov.CompiledModel:
        properties = self._list_properties(precision, streams)
        try:
            return self._core.compile_model(graph, DEVICE, properties)
        except RuntimeError as error:
            raise BackendError.from_parts(
                f"OpenVINO {ov.get_version()} can't compile {graph.friendly_name!r} ({error})",
                "a graph that it supports",
                "set inference.backend to torch",
            ) from error

    def _import_cached(
        self, key: CacheKey, precision: str, streams: int
    ) -> ov.CompiledModel | None:
        blob = self._cache.load(key)
        if blob is None:
            return None
        try:
            return self._core.import_model(blob, DEVICE, self._list_properties(precision, streams))
        except RuntimeError as error:
            logger.warning("OpenVINO refuses its cached network (%s); building anew", error)
            self._cache.drop(key)
            return None

    def _list_properties(self, precision: str, streams: int) -> dict[str, Any]:
        properties: dict[str, Any] = {
            # Without it OpenVINO takes bf16 on its own wherever there is AMX.
            "INFERENCE_PRECISION_HINT": _name_float(precision),
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": streams,
            # A robot's cores have other work too: a pinned thread waits for whoever has its core.
            "ENABLE_CPU_PINNING": False,
        }
        if self._threads_wanted:
            properties["INFERENCE_NUM_THREADS"] = self._threads_wanted
        return properties

    def _check_precision(self, compiled: ov.CompiledModel) -> None:
        """Report what OpenVINO really took, should it ever differ."""
        names = {"f32": "f32", "float32": "f32", "bf16": "bf16", "bfloat16": "bf16"}
        hint = compiled.get_property("INFERENCE_PRECISION_HINT")
        taken = names.get(hint.to_string(), hint.to_string())
        if taken != _name_float(self.precision):
            logger.warning("OpenVINO computes in %s although asked for %s", taken, self.precision)
            self.precision = taken

    def _make_key(self, network_hw: SizeHW) -> CacheKey:
        return {
            "format": CACHE_FORMAT,
            "backend": self.name,
            "openvino": ov.get_version(),
            "cpu": self.device_name,
            "cpu_flags": " ".join(sorted(read_cpu_flags())),
            "weights": self._source.digest,
            "code": hash_network_code(),
            "network_hw": list(network_hw),
            "scales": list(self._scales),
            "precision": self.precision,
            "threads": self._threads_wanted,
        }


class OpenVinoRunner:
    """Plans that run together: resize, network, labels; only pointers pass between the graphs."""

    def __init__(
        self,
        plans: tuple[FramePlan, ...],
        lanes: Sequence[NetworkLane],
        label_requests: Sequence[Any],
        label_dtype: type[np.generic],
        scales: tuple[float, ...],
    ) -> None:
        self._plans = plans
        self._lanes = lanes
        self._label_requests = label_requests
        self._label_dtype = label_dtype
        self._scales = scales
        self._least = np.zeros(1, np.float32)
        self._least_tensor = ov.Tensor(self._least, shared_memory=True)

    def __call__(
        self, images_HWC: Sequence[np.ndarray], min_confidence: float, clock: StageClock
    ) -> list[LabelledImage]:
        self._least[0] = min_confidence
        try:
            self._run(images_HWC, clock)
            labelled = [self._label(i) for i in range(len(self._plans))]
        except RuntimeError as error:
            raise BackendError.from_parts(
                f"OpenVINO failed on {self._plans} ({error})",
                "a network that runs",
                "set inference.backend to torch, or report it",
            ) from error
        clock.mark("post")
        return labelled

    def _run(self, images_HWC: Sequence[np.ndarray], clock: StageClock) -> None:
        """Start each image as soon as it is resized, and wait for all."""
        with ExitStack() as started:
            for lane, image_HWC, plan in zip(self._lanes, images_HWC, self._plans, strict=True):
                # Copied because OpenVINO takes no read-only memory, as views of messages are.
                np.copyto(lane.image_1HWC.data[0], resize_image(image_HWC, plan.network_hw))
                if len(self._plans) > 1:
                    lane.request.start_async()
                    # Whatever happens to another image: a busy lane could take no other.
                    started.callback(lane.request.wait)
            clock.mark("pre")
            if len(self._plans) == 1:
                self._lanes[0].request.infer()
        clock.mark("infer")

    def _label(self, index: int) -> LabelledImage:
        request, with_confidence = self._label_requests[index], self._plans[index].with_confidence
        # Plans may share a request: its inputs are set anew for each image.
        request.set_input_tensor(0, self._lanes[index].logits_1Khw)
        if with_confidence:
            request.set_input_tensor(1, self._least_tensor)
        request.infer()
        labels_HW = _view_output(request, 0).astype(self._label_dtype)
        confidence_HW = _view_output(request, 1).copy() if with_confidence else None
        return LabelledImage(labels_HW, confidence_HW, scales=self._scales)


def _view_output(request: Any, index: int) -> np.ndarray:
    pixels_HW: np.ndarray = request.get_output_tensor(index).data[0, 0]
    return pixels_HW


def _make_lane(compiled: ov.CompiledModel) -> NetworkLane:
    request = compiled.create_infer_request()
    logits_1Khw = ov.Tensor(ov.Type.f32, compiled.output(0).shape)
    request.set_output_tensor(logits_1Khw)
    image_1HWC = ov.Tensor(ov.Type.u8, compiled.input(0).shape)
    request.set_input_tensor(image_1HWC)
    return NetworkLane(request, image_1HWC, logits_1Khw)


def _name_float(precision: str) -> str:
    """Return the arithmetic of what is not in int8; with bf16 OpenVINO finds no kernels."""
    return "f32" if precision == "int8" else precision


def _to_bytes(blob: Any) -> bytes:
    """Older releases return bytes, newer ones a stream."""
    return blob if isinstance(blob, bytes) else bytes(blob.getbuffer())
