"""The `openvino` backend: network and label rule compiled for the CPU, the network cached."""

import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino as ov

from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.inference.compiled_cache import CacheKey, CompiledCache
from proxia_segmentation_ros.inference.frame_plan import FramePlan, Runner
from proxia_segmentation_ros.inference.network_source import NetworkSource, hash_network_code
from proxia_segmentation_ros.inference.openvino_labels import build_label_graph
from proxia_segmentation_ros.inference.precision import describe_cpu, read_cpu_flags
from proxia_segmentation_ros.inference.preprocess import resize_image

logger = logging.getLogger(__name__)

DEVICE = "CPU"
CACHE_FORMAT = 2
# Plans in use hold their network besides.
KEPT_NETWORKS = 2


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """A network for one size; it reads `image` and writes `logits`, call after call."""

    request: Any
    image: ov.Tensor
    logits: ov.Tensor
    threads: int


class OpenVinoBackend:
    """Compiles a network once for each network size, a small label graph for each plan."""

    name = "openvino"

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
        self._networks: OrderedDict[SizeHW, CompiledNetwork] = OrderedDict()
        self._threads = threads

    @property
    def threads(self) -> int:
        """CPU threads in use; 0 until the first network is compiled with the library's choice."""
        return self._threads

    def prepare(self, plan: FramePlan) -> Runner:
        """Compile what the plan needs.

        Raises:
            BackendError: OpenVINO refuses the graph.
            WeightsError: the weights can't be loaded.
        """
        network = self.load_network(plan.network_hw)
        graph = build_label_graph(
            tuple(network.logits.shape),
            plan.output_hw,
            with_confidence=plan.with_confidence,
            temperature=self._source.card.temperature,
            unlabeled_id=self._label_set.unlabeled_id,
        )
        request = self._compile(graph, "f32").create_infer_request()
        return OpenVinoRunner(plan, network, request, self._label_set.label_dtype)

    def close(self) -> None:
        """Forget the networks; plans still in use keep theirs."""
        self._networks.clear()

    def load_network(self, network_hw: SizeHW) -> CompiledNetwork:
        """Return the network for this size, from memory, from the cache or compiled anew.

        Raises:
            BackendError: OpenVINO refuses the graph.
            WeightsError: the weights can't be loaded.
        """
        network = self._networks.get(network_hw)
        if network is None:
            network = self._make_network(network_hw)
            self._networks[network_hw] = network
            if len(self._networks) > KEPT_NETWORKS:
                self._networks.popitem(last=False)
        self._networks.move_to_end(network_hw)
        self._threads = network.threads
        return network

    def _make_network(self, network_hw: SizeHW) -> CompiledNetwork:
        started_s = time.monotonic()
        key = self._make_key(network_hw)
        compiled = self._import_cached(key)
        origin = "from the cache"
        if compiled is None:
            origin = "compiled anew"
            compiled = self._compile(self._convert(network_hw), self.precision)
            self._cache.store(key, _to_bytes(compiled.export_model()))
        self._check_precision(compiled)
        request = compiled.create_infer_request()
        logits = ov.Tensor(ov.Type.f32, compiled.output(0).shape)
        request.set_output_tensor(logits)
        image = ov.Tensor(ov.Type.u8, compiled.input(0).shape)
        request.set_input_tensor(image)
        logger.info(
            "network %s for %dx%d ready after %.1f s, %s",
            self._source.card.name,
            network_hw[1],
            network_hw[0],
            time.monotonic() - started_s,
            origin,
        )
        threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        return CompiledNetwork(request, image, logits, threads)

    def _convert(self, network_hw: SizeHW) -> ov.Model:
        # Only a network that is not in the cache costs the import of torch.
        from proxia_segmentation_ros.inference.openvino_convert import convert_network

        return convert_network(self._source.load(), self._source.card, self._scales, network_hw)

    def _compile(self, graph: ov.Model, precision: str) -> ov.CompiledModel:
        try:
            return self._core.compile_model(graph, DEVICE, self._list_properties(precision))
        except RuntimeError as error:
            raise BackendError.from_parts(
                f"OpenVINO {ov.get_version()} can't compile {graph.friendly_name!r} ({error})",
                "a graph that it supports",
                "set inference.backend to torch",
            ) from error

    def _import_cached(self, key: CacheKey) -> ov.CompiledModel | None:
        blob = self._cache.load(key)
        if blob is None:
            return None
        try:
            return self._core.import_model(blob, DEVICE, self._list_properties(self.precision))
        except RuntimeError as error:
            logger.warning("OpenVINO refuses its cached network (%s); building anew", error)
            self._cache.drop(key)
            return None

    def _list_properties(self, precision: str) -> dict[str, Any]:
        properties: dict[str, Any] = {
            # Without it OpenVINO takes bf16 on its own wherever there is AMX.
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
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
        if taken != self.precision:
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
    """One plan: resize, network, labels; only pointers pass between the two graphs."""

    def __init__(
        self, plan: FramePlan, network: CompiledNetwork, labels: Any, label_dtype: type[np.generic]
    ) -> None:
        self._plan = plan
        self._network = network
        self._labels = labels
        self._label_dtype = label_dtype
        self._labels.set_input_tensor(0, network.logits)
        if plan.with_confidence:
            self._least = np.zeros(1, np.float32)
            self._labels.set_input_tensor(1, ov.Tensor(self._least, shared_memory=True))

    def __call__(
        self, image_HWC: np.ndarray, min_confidence: float
    ) -> tuple[np.ndarray, np.ndarray | None]:
        # Copied because OpenVINO takes no read-only memory, as views of messages are.
        np.copyto(self._network.image.data[0], resize_image(image_HWC, self._plan.network_hw))
        if self._plan.with_confidence:
            self._least[0] = min_confidence
        try:
            self._network.request.infer()
            self._labels.infer()
        except RuntimeError as error:
            raise BackendError.from_parts(
                f"OpenVINO failed on {self._plan} ({error})",
                "a network that runs",
                "set inference.backend to torch, or report it",
            ) from error
        labels_HW = self._view_output(0).astype(self._label_dtype)
        return labels_HW, self._view_output(1).copy() if self._plan.with_confidence else None

    def _view_output(self, index: int) -> np.ndarray:
        pixels_HW: np.ndarray = self._labels.get_output_tensor(index).data[0, 0]
        return pixels_HW


def _to_bytes(blob: Any) -> bytes:
    """Older releases return bytes, newer ones a stream."""
    return blob if isinstance(blob, bytes) else bytes(blob.getbuffer())
