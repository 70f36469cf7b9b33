"""Which backend runs a network, and at which scales. Imports neither torch nor OpenVINO."""

import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path

from proxia_segmentation_ros.errors import BackendError, ConfigError
from proxia_segmentation_ros.inference.compiled_cache import CompiledCache, find_cache_folder
from proxia_segmentation_ros.inference.frame_plan import Backend
from proxia_segmentation_ros.inference.network_source import NetworkSource
from proxia_segmentation_ros.inference.precision import choose_precision, read_cpu_flags
from proxia_segmentation_ros.inference.tile_choice import PLAIN, Pruning
from proxia_segmentation_ros.model.card import ModelCard

logger = logging.getLogger(__name__)

BACKENDS = ("openvino", "torch")
MULTI_SCALE_SUFFIX = "_mscale"


def choose_scales(scales: Sequence[float], card: ModelCard) -> tuple[float, ...]:
    """Return the scales to run, ascending; the card's when none are given.

    Raises:
        ConfigError: they lack 1.0, are not positive, or the network has one scale only.
    """
    chosen = tuple(scales) or card.scales
    is_multi_scale = card.architecture.endswith(MULTI_SCALE_SUFFIX)
    if 1.0 not in chosen or any(scale <= 0 for scale in chosen):
        raise ConfigError.from_parts(
            f"scales are {list(chosen)}", "positive numbers that hold 1.0", "add 1.0"
        )
    if not is_multi_scale and chosen != (1.0,):
        raise ConfigError.from_parts(
            f"scales are {list(chosen)} for the single-scale network {card.architecture!r}",
            "none or [1.0]",
            f"leave them empty, or take weights of an architecture that ends in "
            f"{MULTI_SCALE_SUFFIX}",
        )
    return tuple(sorted(set(chosen)))


def choose_pruning(pruning: Pruning, scales: tuple[float, ...]) -> Pruning:
    """Return what is left out at these scales: of a single one nothing.

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
    return PLAIN


def make_pruned_backend(
    inner: Backend, scales: tuple[float, ...], pruning: Pruning, classes: int
) -> Backend:
    """Return the backend itself where nothing is to be left out, else one around it.

    Raises:
        BackendError: there is a latency budget and it can't run scales one by one.
    """
    if pruning.is_off:
        return inner
    from proxia_segmentation_ros.inference.pruned_backend import PrunedBackend, SplitBackend

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


def make_backend(
    source: NetworkSource,
    requested: str,
    precision: str,
    scales: tuple[float, ...],
    threads: int,
    cache_dir: str | Path | None,
) -> Backend:
    """Return the backend that was asked for, or the best one that is there.

    Raises:
        BackendError: it is missing, or can't do the precision or the network.
        WeightsError: the weights can't be loaded.
    """
    name = _choose_backend(requested)
    precision = choose_precision(precision, name, read_cpu_flags(), source.quantisation)
    if name == "torch":
        from proxia_segmentation_ros.inference.torch_backend import TorchBackend

        return TorchBackend(source, precision=precision, scales=scales, threads=threads)
    from proxia_segmentation_ros.inference.openvino_backend import OpenVinoBackend

    folder = Path(cache_dir) if cache_dir is not None else find_cache_folder("openvino")
    return OpenVinoBackend(
        source,
        precision=precision,
        scales=scales,
        threads=threads,
        cache=CompiledCache(folder),
    )


def _choose_backend(requested: str) -> str:
    has_openvino = importlib.util.find_spec("openvino") is not None
    if requested == "auto":
        return "openvino" if has_openvino else "torch"
    if requested == "openvino" and not has_openvino:
        raise BackendError.from_parts(
            "backend is 'openvino' but OpenVINO is not installed",
            "an installed backend",
            "run `pip install openvino`, or set inference.backend to torch",
        )
    if requested not in BACKENDS:
        reason = "is not part of this version" if requested == "tensorrt" else "is unknown"
        raise BackendError.from_parts(
            f"backend {requested!r} {reason}",
            f"one of auto, {', '.join(BACKENDS)}",
            "set inference.backend to auto",
        )
    return requested
