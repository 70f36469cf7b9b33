"""Chooses and opens the backend of a network, its scales and pruning; imports no torch."""

import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from proxia_segmentation_ros.backends.compiled_cache import CompiledCache, find_cache_folder
from proxia_segmentation_ros.backends.contract import Backend
from proxia_segmentation_ros.backends.network_source import NetworkSource
from proxia_segmentation_ros.backends.precision import choose_precision, read_cpu_flags
from proxia_segmentation_ros.backends.pruned.tile_selection import NO_PRUNING, Pruning
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import BackendError, ConfigError
from proxia_segmentation_ros.inference.cpu_fallback import (
    choose_cpu_backend,
    choose_cpu_precision,
    may_fall_back,
    warn_of_fallback,
)
from proxia_segmentation_ros.inference.self_test import check_network
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.network.names import (
    MULTI_SCALE_SUFFIX,
    SCALES_RULE,
    follow_scales_rule,
)

if TYPE_CHECKING:
    # Imports torch.
    from proxia_segmentation_ros.backends.tensorrt.backend import TensorRtBackend

logger = logging.getLogger(__name__)

BACKENDS = ("openvino", "tensorrt", "torch")


def choose_scales(scales: Sequence[float], card: ModelCard) -> tuple[float, ...]:
    """Return the scales to run, ascending; the card's when none are given.

    Raises:
        ConfigError: they lack 1.0, are not positive, or the network has a single scale.
    """
    chosen = tuple(scales) or card.scales
    is_multi_scale = card.architecture.endswith(MULTI_SCALE_SUFFIX)
    if not follow_scales_rule(chosen):
        raise ConfigError.from_parts(f"scales are {list(chosen)}", SCALES_RULE, "add 1.0")
    if not is_multi_scale and chosen != (1.0,):
        raise ConfigError.from_parts(
            f"scales are {list(chosen)} for the single-scale network {card.architecture!r}",
            "none or [1.0]",
            f"leave them empty, or take weights of an architecture that ends in "
            f"{MULTI_SCALE_SUFFIX}",
        )
    return tuple(sorted(set(chosen)))


def choose_pruning(pruning: Pruning, scales: tuple[float, ...]) -> Pruning:
    """Return the pruning settings for these scales; none for a single scale.

    Raises:
        ConfigError: a setting is out of its range, or a single scale has a latency budget.
    """
    pruning.check()
    if len(scales) > 1:
        return pruning
    if pruning.latency_budget_ms:
        raise ConfigError.from_parts(
            f"latency_budget_ms is {pruning.latency_budget_ms:g} with the one scale {scales[0]:g}",
            "0, or a network of several scales, of which some can be left out",
            "set it to 0, or take weights such as 'attention'",
        )
    return NO_PRUNING


def make_pruned_backend(
    inner: Backend, scales: tuple[float, ...], pruning: Pruning, classes: int
) -> Backend:
    """Return `inner`, wrapped in a `PrunedBackend` if pruning is on.

    Raises:
        BackendError: there is a latency budget, but `inner` can't run scales separately.
    """
    if pruning.is_off:
        return inner
    from proxia_segmentation_ros.backends.pruned.backend import PrunedBackend, SplitBackend

    if isinstance(inner, SplitBackend):
        return PrunedBackend(inner, scales, pruning, classes)
    if pruning.latency_budget_ms:
        raise BackendError.from_parts(
            f"latency_budget_ms is {pruning.latency_budget_ms:g} with backend {inner.name!r}, "
            "which runs all scales at once",
            "0, or backend openvino or torch",
            "set one of them",
        )
    logger.warning("backend %s runs all scales whole: tile settings do nothing", inner.name)
    return inner


def open_backend(
    source: NetworkSource,
    requested: str,
    precision: str,
    scales: tuple[float, ...],
    threads: int,
    cache_dir: str | Path | None,
    network_hw: SizeHW | None,
    pruning: Pruning = NO_PRUNING,
    may_build: bool = True,
) -> Backend:
    """Open the requested backend, or the best available one, and load and test the network.

    With `auto`, a warning is logged and the CPU is used if the GPU can't run the network. If
    `network_hw` is None, the network is loaded later. `pruning` applies to several scales only.
    If `may_build` is False, TensorRT engines, which take minutes to build, must be in the cache.

    Raises:
        BackendError: it is missing, or does not support the precision or the network.
        WeightsError: the weights can't be loaded, or fail their self-test.
    """
    name = choose_backend(requested)

    def open_named(name: str, precision: str) -> Backend:
        if name == "tensorrt" and network_hw is None:
            raise BackendError.from_parts(
                "size is 'input' for backend 'tensorrt', which takes minutes for each size",
                "card or WxH",
                "set inference.size to one of them",
            )
        backend = _make_backend(source, name, precision, scales, threads, cache_dir, may_build)
        classes = len(source.card.label_set.classes)
        backend = make_pruned_backend(backend, scales, pruning, classes)
        if network_hw is not None:
            backend.load_network(network_hw)
            check_network(backend, source, scales, network_hw)
        return backend

    try:
        return open_named(name, precision)
    except BackendError as error:
        if not may_fall_back(requested, name):
            raise
        warn_of_fallback(error)
        return open_named(choose_cpu_backend(), choose_cpu_precision(precision))


def choose_backend(requested: str) -> str:
    """Return the name of the backend for a request; `auto` is the fastest available one.

    Raises:
        BackendError: it is unknown or not available here.
    """
    if requested == "auto":
        return "tensorrt" if explain_gpu_absence() is None else choose_cpu_backend()
    if requested not in BACKENDS:
        raise BackendError.from_parts(
            f"backend {requested!r} is unknown",
            f"one of auto, {', '.join(BACKENDS)}",
            "set inference.backend to auto",
        )
    if requested == "openvino" and importlib.util.find_spec("openvino") is None:
        raise BackendError.from_parts(
            "backend is 'openvino' but OpenVINO is not installed",
            "an installed backend",
            "run `pip install openvino`, or set inference.backend to torch",
        )
    absence = explain_gpu_absence() if requested == "tensorrt" else None
    if absence is not None:
        raise BackendError.from_parts(
            f"backend is 'tensorrt' but {absence}",
            "an NVIDIA GPU and torch-tensorrt",
            "install the extra `tensorrt` on a machine with a GPU, "
            "or set inference.backend to auto",
        )
    return requested


def explain_gpu_absence() -> str | None:
    """Return why TensorRT can't run here, or None; torch is imported only with torch-tensorrt."""
    if importlib.util.find_spec("torch_tensorrt") is None:
        return "torch-tensorrt is not installed"
    from proxia_segmentation_ros.backends.tensorrt.device import explain_absence

    return explain_absence()


def make_tensorrt_backend(
    source: NetworkSource,
    precision: str,
    scales: tuple[float, ...],
    cache_dir: str | Path | None,
    may_build: bool = True,
) -> "TensorRtBackend":
    """Return the `tensorrt` backend; its cache is in `cache_dir` or the user's cache folder.

    Raises:
        BackendError: it does not support the precision, or TensorRT can't run here.
    """
    from proxia_segmentation_ros.backends.tensorrt.backend import TensorRtBackend

    folder = Path(cache_dir) if cache_dir is not None else find_cache_folder("tensorrt")
    return TensorRtBackend(
        source,
        precision=choose_precision(precision, "tensorrt", frozenset()),
        scales=scales,
        cache=CompiledCache(folder),
        may_build=may_build,
    )


def _make_backend(
    source: NetworkSource,
    name: str,
    precision: str,
    scales: tuple[float, ...],
    threads: int,
    cache_dir: str | Path | None,
    may_build: bool,
) -> Backend:
    if name == "tensorrt":
        return make_tensorrt_backend(source, precision, scales, cache_dir, may_build)
    precision = choose_precision(precision, name, read_cpu_flags(), source.quantisation)
    if name == "torch":
        from proxia_segmentation_ros.backends.torch.backend import TorchBackend

        return TorchBackend(source, precision=precision, scales=scales, threads=threads)
    from proxia_segmentation_ros.backends.openvino.backend import OpenVinoBackend

    folder = Path(cache_dir) if cache_dir is not None else find_cache_folder("openvino")
    return OpenVinoBackend(
        source,
        precision=precision,
        scales=scales,
        threads=threads,
        cache=CompiledCache(folder),
    )
