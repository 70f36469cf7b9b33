"""The `openvino` backend: compiles network and argmax graph for the CPU; caches the network."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import openvino as ov

from proxia_segmentation_ros.backends.compiled_cache import CacheKey, CompiledCache
from proxia_segmentation_ros.backends.contract import (
    ALONE,
    FramePlan,
    LabelledImage,
    Lane,
    Runner,
)
from proxia_segmentation_ros.backends.kept import Kept
from proxia_segmentation_ros.backends.network_source import NetworkSource, hash_network_code
from proxia_segmentation_ros.backends.openvino.label_graphs import (
    LabelGraphs,
    LabelRequest,
    LogitsShape,
)
from proxia_segmentation_ros.backends.openvino.passes import ConvertGraph, OpenVinoPasses
from proxia_segmentation_ros.backends.openvino.runner import (
    CompiledNetwork,
    OpenVinoRunner,
    RunnerParts,
    make_run_error,
)
from proxia_segmentation_ros.backends.precision import describe_cpu, read_cpu_flags
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.model.quantisation import Range

logger = logging.getLogger(__name__)

DEVICE = "CPU"
CACHE_FORMAT = 5
# Kept in memory for recent sizes; a size given in the card or by the user needs one alone.
KEPT_NETWORKS = 4
KEPT_NETWORK_BYTES = 2**30
BYTES_PER_NETWORK_PIXEL = 300


class OpenVinoBackend:
    """Compiles a network for each network size, and a small argmax graph for each output size.

    Concurrent calls divide the threads among themselves, if there are enough. That is faster than
    using all threads for each image or for a batch, where they synchronise after every layer.
    """

    name = "openvino"
    is_pruned: bool = False
    batch_sizes: tuple[int, ...] = (1,)
    shares: tuple[int, ...] = (1, 2, 4)

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
        # Held while a network is compiled: concurrent calls share it.
        self._lock = threading.RLock()
        self._networks: Kept[tuple[SizeHW, int], CompiledNetwork] = Kept(
            KEPT_NETWORK_BYTES, KEPT_NETWORKS
        )
        self._label_graphs = LabelGraphs(lambda graph: self._compile(graph, "f32"), self._label_set)
        self._threads = threads
        self._imported: list[CacheKey] = []

    @property
    def threads(self) -> int:
        """CPU threads in use; 0 if OpenVINO chooses and has not compiled a network yet."""
        return self._threads

    def prepare(self, plans: tuple[FramePlan, ...], lane: Lane = ALONE) -> Runner:
        """Compile network and argmax graph of the single plan.

        Raises:
            BackendError: OpenVINO refuses the graph.
            WeightsError: the weights can't be loaded.
        """
        (plan,) = plans
        self._find_parts(plan, lane)
        # It finds them for every frame: what it held on to could not be released.
        return OpenVinoRunner(plan, partial(self._find_parts, plan, lane), self._scales)

    def _find_parts(self, plan: FramePlan, lane: Lane) -> RunnerParts:
        feed = self._load_network(plan.network_hw, lane.share).find_feed(lane.index)
        return RunnerParts(feed, self._find_labels(feed.shape, plan, lane.index))

    def _find_labels(self, logits_shape: LogitsShape, plan: FramePlan, lane: int) -> LabelRequest:
        return self._label_graphs.find(
            logits_shape,
            plan.output_hw,
            with_confidence=plan.with_confidence,
            temperature=self._source.card.temperature,
            lane=lane,
        )

    def discard_cached(self, network_hw: SizeHW, batch: int = 1) -> bool:  # noqa: ARG002
        """Remove the networks of this size, there and here, if one came from the cache."""
        with self._lock:
            dropped = [key for key in self._imported if key["network_hw"] == list(network_hw)]
            for key in dropped:
                self._imported.remove(key)
                self._cache.drop(key)
            if dropped:
                self._networks.clear()
        return bool(dropped)

    def close(self) -> None:
        """Release the networks; runners that are still in use keep theirs."""
        self._networks.clear()
        self._label_graphs.clear()

    def load_network(self, network_hw: SizeHW, batch: int = 1) -> CompiledNetwork:  # noqa: ARG002
        """Return the network for one call at a time: from memory, the cache, or newly compiled.

        Raises:
            BackendError: OpenVINO refuses the graph.
            WeightsError: the weights can't be loaded.
        """
        return self._load_network(network_hw, 1)

    def _load_network(self, network_hw: SizeHW, share: int) -> CompiledNetwork:
        streams = 1 if share == 1 else min(share, self._load_network(network_hw, 1).threads)
        key = network_hw, streams
        network = self._networks.get(key)
        if network is None:
            with self._lock:
                network = self._networks.get(key) or self._keep_network(network_hw, streams)
        if streams == 1:
            self._threads = network.threads
        return network

    def _keep_network(self, network_hw: SizeHW, streams: int) -> CompiledNetwork:
        cost = BYTES_PER_NETWORK_PIXEL * network_hw[0] * network_hw[1] * streams
        self._networks.make_room(cost)
        network = self._make_network(network_hw, streams)
        self._networks.put((network_hw, streams), network, cost)
        return network

    def _make_network(self, network_hw: SizeHW, streams: int) -> CompiledNetwork:
        compiled = self._find_compiled(
            f"network {self._source.card.name} for {streams} x {network_hw[1]}x{network_hw[0]}",
            {**self._make_key(network_hw), "streams": streams},
            lambda: self._convert(network_hw),
            self.precision,
            streams,
        )
        self._check_precision(compiled)
        threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        return CompiledNetwork(compiled, streams, threads)

    def make_passes(self, network_hw: SizeHW) -> OpenVinoPasses:
        """Return passes at single scales over images of this size."""
        return OpenVinoPasses(self._source, network_hw, self.compile_part, self.label)

    def compile_part(
        self, part: str, network_hw: SizeHW, convert: ConvertGraph, *, is_network: bool
    ) -> ov.CompiledModel:
        """Return a part, from the cache or newly compiled; the name `part` must be unique for it.

        Parts without layers of the network (fusion) are computed in f32.

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
        """Run the argmax post-processing on logits of any size; one call at a time."""
        shape: Any = logits_1Khw.shape
        request = self._find_labels(shape, plan, 0)
        try:
            labels_HW, confidence_HW = request.run(
                ov.Tensor(logits_1Khw, shared_memory=True), plan.with_confidence, min_confidence
            )
        except RuntimeError as error:
            raise make_run_error(f"the labels of {plan}", error) from error
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
        """Return the activation ranges of the layers to compute in int8."""
        quantisation = self._source.quantisation
        return quantisation.ranges if self.precision == "int8" and quantisation is not None else {}

    def _convert(self, network_hw: SizeHW) -> ov.Model:
        # Imports torch, which is only needed for a network that is not in the cache.
        from proxia_segmentation_ros.backends.graph.openvino_convert import convert_network

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
            properties = self._list_properties(precision, streams)
            compiled = self._core.import_model(blob, DEVICE, properties)
        except RuntimeError as error:
            logger.warning("OpenVINO refuses its cached network (%s); building anew", error)
            self._cache.drop(key)
            return None
        if key not in self._imported:
            self._imported.append(key)
        return compiled

    def _list_properties(self, precision: str, streams: int) -> dict[str, Any]:
        properties: dict[str, Any] = {
            # By default OpenVINO chooses bf16 on CPUs with AMX.
            "INFERENCE_PRECISION_HINT": _name_float(precision),
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": streams,
            # A robot's cores run other processes too: a network on pinned threads took
            # 1.4 to 2 times as long (docs/decisions/001-openvino-graph.md).
            "ENABLE_CPU_PINNING": False,
        }
        if self._threads_wanted:
            properties["INFERENCE_NUM_THREADS"] = self._threads_wanted
        return properties

    def _check_precision(self, compiled: ov.CompiledModel) -> None:
        """Log and report the precision that OpenVINO really chose, if it differs."""
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


def _name_float(precision: str) -> str:
    """Return the precision of the layers that are not in int8.

    It is f32 beside int8: OpenVINO has no kernels for bf16 there.
    """
    return "f32" if precision == "int8" else precision


def _to_bytes(blob: Any) -> bytes:
    """Convert an exported model: bytes in older releases of OpenVINO, a stream in newer ones."""
    return blob if isinstance(blob, bytes) else bytes(blob.getbuffer())
