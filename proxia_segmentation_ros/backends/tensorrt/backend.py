"""The `tensorrt` backend: cached engines on the GPU, run as a single CUDA graph."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from proxia_segmentation_ros.backends.compiled_cache import CacheKey, CompiledCache
from proxia_segmentation_ros.backends.contract import ALONE, FramePlan, Lane, Runner
from proxia_segmentation_ros.backends.graph.tensorrt_graph import EngineArgmax, EngineNetwork
from proxia_segmentation_ros.backends.network_source import NetworkSource, hash_network_code
from proxia_segmentation_ros.backends.tensorrt.build import EngineBuild, EngineBuilder
from proxia_segmentation_ros.backends.tensorrt.device import (
    BoundEngine,
    CudaDevice,
    Device,
    Engine,
    EngineRefused,
)
from proxia_segmentation_ros.backends.tensorrt.runner import NetworkFeed, TensorRtRunner
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import BackendError

logger = logging.getLogger(__name__)

Key = TypeVar("Key")
Value = TypeVar("Value")

CACHE_FORMAT = 1
KEPT_NETWORKS = 4
KEPT_ARGMAX_ENGINES = 8


class TensorRtBackend:
    """Builds an engine for each size and batch of the network, a small one for each output size.

    The network's engine takes minutes to build and depends on the weights; the argmax engine takes
    seconds and depends on the camera. Images, logits and labels stay on the GPU in between.
    """

    name = "tensorrt"
    is_pruned: bool = False
    batch_sizes: tuple[int, ...] = (1, 2, 4)
    shares: tuple[int, ...] = (1,)

    def __init__(
        self,
        source: NetworkSource,
        *,
        precision: str,
        scales: tuple[float, ...],
        cache: CompiledCache,
        may_build: bool = True,
        device: Device | None = None,
        build: EngineBuild | None = None,
    ) -> None:
        """Use the current GPU; tests pass a fake `device` and `build`.

        Without `may_build` networks come from the cache only; argmax engines are still built.
        """
        self.precision = precision
        self._device = device or CudaDevice()
        self._build = build or EngineBuilder(cache.folder, self._device.facts, precision)
        self.device_name = self._device.name
        self._source = source
        self._scales = scales
        self._may_build = may_build
        self._cache = cache
        self._label_set = source.card.to_label_set()
        self._networks: OrderedDict[tuple[SizeHW, int], NetworkFeed] = OrderedDict()
        self._argmax_engines: OrderedDict[tuple[tuple[int, ...], SizeHW], Engine] = OrderedDict()
        self._imported: list[CacheKey] = []

    @property
    def threads(self) -> int:
        """CPU threads in use: only the calling one."""
        return 1

    def has_engine(self, network_hw: SizeHW, batch: int = 1) -> bool:
        """Whether the cache holds a valid engine of the network."""
        return self._cache.load(self._make_network_key(network_hw, batch)) is not None

    def load_network(self, network_hw: SizeHW, batch: int = 1) -> NetworkFeed:
        """Return the network for this size and batch: from memory, the cache, or newly built.

        Raises:
            BackendError: TensorRT can't or may not build it, or there is too little memory.
            WeightsError: the weights can't be loaded.
        """
        key = network_hw, batch
        feed = self._networks.get(key)
        if feed is None:
            engine = self._find_engine(
                self._make_network_key(network_hw, batch),
                f"network {self._source.card.name} for {batch} x {network_hw[1]}x{network_hw[0]}",
                lambda: self._make_network(network_hw, batch),
            )
            with self._device.use_stream():
                feed = NetworkFeed(self._device, engine, network_hw, batch)
            _keep(self._networks, key, feed, KEPT_NETWORKS)
        self._networks.move_to_end(key)
        return feed

    def prepare(self, plans: tuple[FramePlan, ...], lane: Lane = ALONE) -> Runner:  # noqa: ARG002
        """Load or build engines for plans of the same network size; record a CUDA graph of them.

        Raises:
            BackendError: TensorRT can't build an engine, or there is too little memory.
            WeightsError: the weights can't be loaded.
        """
        feed = self.load_network(plans[0].network_hw, len(plans))
        label_dtype = self._label_set.label_dtype
        try:
            engines = [self._find_argmax_engine(feed.network, plan.output_hw) for plan in plans]
            return TensorRtRunner(self._device, feed, engines, plans, label_dtype, self._scales)
        except BackendError:
            # It may be out of memory: release this network, so that a smaller batch can be tried.
            self._networks.pop((plans[0].network_hw, len(plans)), None)
            raise

    def discard_cached(self, network_hw: SizeHW, batch: int = 1) -> bool:
        """Remove the network of this size and batch, there and here, if it came from the cache."""
        key = self._make_network_key(network_hw, batch)
        if key not in self._imported:
            return False
        self._imported.remove(key)
        self._cache.drop(key)
        self._networks.pop((network_hw, batch), None)
        return True

    def close(self) -> None:
        """Release the engines; runners that are still in use keep theirs."""
        self._networks.clear()
        self._argmax_engines.clear()

    def _find_argmax_engine(self, network: BoundEngine, output_hw: SizeHW) -> Engine:
        shape = (1, *network.outputs[0].shape[1:])
        key = shape, output_hw
        engine = self._argmax_engines.get(key)
        if engine is None:
            engine = self._find_engine(
                self._make_key(part="labels", logits_shape=list(shape), output_hw=list(output_hw)),
                f"argmax for {output_hw[1]}x{output_hw[0]}",
                lambda: self._make_argmax(shape, output_hw),
            )
            _keep(self._argmax_engines, key, engine, KEPT_ARGMAX_ENGINES)
        self._argmax_engines.move_to_end(key)
        return engine

    def _find_engine(
        self,
        key: CacheKey,
        name: str,
        make: Callable[[], tuple[nn.Module, tuple[Tensor, ...]]],
    ) -> Engine:
        started_s = time.monotonic()
        blob, origin = self._cache.load(key), "from the cache"
        engine = None if blob is None else self._load_cached(key, blob)
        if engine is None:
            module, examples = make()
            blob, origin = self._build(module, examples, name), "built anew"
            # Stored before it is used: it took minutes to build, and loading may fail.
            self._cache.store(key, blob)
            engine = self._device.load(blob)
        logger.info("%s ready after %.1f s, %s", name, time.monotonic() - started_s, origin)
        return engine

    def _load_cached(self, key: CacheKey, blob: bytes) -> Engine | None:
        try:
            engine = self._device.load(blob)
        except EngineRefused as error:
            logger.warning("%s; building anew", error)
            self._cache.drop(key)
            return None
        if key not in self._imported:
            self._imported.append(key)
        return engine

    def _make_network(self, network_hw: SizeHW, batch: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        if not self._may_build:
            raise BackendError.from_parts(
                f"the cache {self._cache.folder} holds no engine that the GPU takes, for {batch} x "
                f"{network_hw[1]}x{network_hw[0]}",
                "one that was built before: here it would take minutes",
                "run `proxia engines build`, or configure the node again, which has it built",
            )
        module = EngineNetwork(self._source.load(), self._source.card, self._scales, self.precision)
        return module, (torch.zeros((batch, *network_hw, 3), dtype=torch.uint8),)

    def _make_argmax(
        self, shape: Sequence[int], output_hw: SizeHW
    ) -> tuple[nn.Module, tuple[Tensor, ...]]:
        card = self._source.card
        module = EngineArgmax(output_hw, card.temperature, self._label_set.unlabeled_id)
        return module, (torch.zeros(tuple(shape)), torch.zeros(1))

    def _make_network_key(self, network_hw: SizeHW, batch: int) -> CacheKey:
        return self._make_key(part="network", network_hw=list(network_hw), batch=batch)

    def _make_key(self, **shapes: str | int | list[int]) -> CacheKey:
        return {
            "format": CACHE_FORMAT,
            "backend": self.name,
            **self._device.facts,
            "weights": self._source.digest,
            "code": hash_network_code(),
            "scales": list(self._scales),
            "precision": self.precision,
            **shapes,
        }


def _keep(store: "OrderedDict[Key, Value]", key: Key, value: Value, most: int) -> None:
    store[key] = value
    if len(store) > most:
        store.popitem(last=False)
