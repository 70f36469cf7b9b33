"""The door to inference: RGB image in, class ids out. Imports neither torch nor OpenVINO."""

import importlib.util
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import Self

from proxia_segmentation_ros.config import (
    MAX_SIZE_PIXELS,
    MIN_SIDE_PX,
    SizeHW,
    is_size_usable,
    parse_size,
)
from proxia_segmentation_ros.errors import BackendError, ConfigError
from proxia_segmentation_ros.inference.compiled_cache import CompiledCache, find_cache_folder
from proxia_segmentation_ros.inference.frame_plan import Backend, FramePlan, Runner
from proxia_segmentation_ros.inference.network_source import (
    LoadedNetwork,
    NetworkSource,
    WeightFile,
)
from proxia_segmentation_ros.inference.precision import choose_precision, read_cpu_flags
from proxia_segmentation_ros.inference.preprocess import check_image
from proxia_segmentation_ros.model.card import ModelCard

if TYPE_CHECKING:
    from torch import nn

logger = logging.getLogger(__name__)

BACKENDS = ("openvino", "torch")
MULTI_SCALE_SUFFIX = "_mscale"
KEPT_PLANS = 4


@dataclass(frozen=True)
class Segmentation:
    """Class ids of one image, in memory of their own.

    `labels` is uint8 (uint16 above 255 classes) of shape (H, W), 255 (65535) where unlabeled.
    `confidence` is uint8 of the same shape, 255 times the probability of the most probable
    class, or None unless asked for. `network_size_hw` is the size that the network saw.
    """

    labels: np.ndarray
    confidence: np.ndarray | None
    network_size_hw: SizeHW


class Segmenter:
    """A network, ready to label images of any size; one call at a time, from any thread."""

    def __init__(
        self,
        model: "nn.Module",
        card: ModelCard,
        *,
        backend: str = "auto",
        precision: str = "auto",
        size: str = "card",
        scales: Sequence[float] = (),
        threads: int = 0,
        cache_dir: str | Path | None = None,
    ) -> None:
        """Take a network that is in memory; arguments and errors as for `from_weights`."""
        source = LoadedNetwork(model, card)
        self._set_up(source, backend, precision, size, scales, threads, cache_dir)

    @classmethod
    def from_weights(
        cls,
        path_or_name: str | Path = "default",
        *,
        backend: str = "auto",
        precision: str = "auto",
        size: str = "card",
        scales: Sequence[float] = (),
        threads: int = 0,
        cache_dir: str | Path | None = None,
    ) -> Self:
        """Load shipped weights by name, or a weight file.

        `size` is the network's: `card`, `input` or `WxH`. Empty `scales` are the card's.
        `threads` 0 is the backend's choice. `cache_dir` holds compiled networks.

        Raises:
            WeightsError: the weights are missing or broken.
            BackendError: the backend is missing, or can't do the precision or the network.
            ConfigError: `size`, `scales` or `threads` is out of its range.
        """
        self = cls.__new__(cls)
        source = WeightFile(path_or_name)
        self._set_up(source, backend, precision, size, scales, threads, cache_dir)
        return self

    def _set_up(
        self,
        source: NetworkSource,
        backend: str,
        precision: str,
        size: str,
        scales: Sequence[float],
        threads: int,
        cache_dir: str | Path | None,
    ) -> None:
        self.card = source.card
        self.label_set = source.card.to_label_set()
        self._lock = threading.Lock()
        self._plans: OrderedDict[FramePlan, Runner] = OrderedDict()
        self._size = size
        network_hw = _resolve_size("size", size, ("card", "input"), {"card": self.card.size_hw})
        if threads < 0:
            raise ConfigError.from_parts(
                f"threads is {threads}", "0 or more", "take 0 for the backend's own choice"
            )
        self.scales = _choose_scales(scales, self.card)
        self._backend: Backend | None = None
        loaded = _make_backend(source, backend, precision, self.scales, threads, cache_dir)
        if size != "input":
            loaded.load_network(network_hw)
        self._backend = loaded
        logger.info(
            "backend %s, precision %s, on %s", self.backend, self.precision, self.device_name
        )

    @property
    def backend(self) -> str:
        """`openvino` or `torch`."""
        return self._require_backend().name

    @property
    def precision(self) -> str:
        """Arithmetic that the network really runs in: `f32` or `bf16`."""
        return self._require_backend().precision

    @property
    def device_name(self) -> str:
        """Name of the processor."""
        return self._require_backend().device_name

    @property
    def threads(self) -> int:
        """CPU threads of the backend."""
        return self._require_backend().threads

    def segment(
        self,
        image_HWC: np.ndarray,
        with_confidence: bool = False,
        *,
        output_size: str = "input",
        min_confidence: float = 0.0,
    ) -> Segmentation:
        """Label one RGB image.

        `output_size` is `input`, `network` or `WxH`. Pixels whose probability is below
        `min_confidence` (0..1) become unlabeled.

        Raises:
            InputError: the image is not (H, W, 3) uint8 of at least 16 pixels a side.
            ConfigError: `output_size` or `min_confidence` is out of its range.
            BackendError: the segmenter is closed, or the backend fails.
        """
        image_HWC = check_image(image_HWC)
        if not 0 <= min_confidence <= 1:
            raise ConfigError.from_parts(
                f"min_confidence is {min_confidence}", "a number from 0 to 1", "set it to such"
            )
        height, width = image_HWC.shape[:2]
        plan = self._make_plan((height, width), output_size, with_confidence or min_confidence > 0)
        with self._lock:
            labels_HW, confidence_HW = self._find_runner(plan)(image_HWC, min_confidence)
        return Segmentation(labels_HW, confidence_HW if with_confidence else None, plan.network_hw)

    def warm_up(self, size_hw: SizeHW) -> None:
        """Compile for images of this size and run once, so that the first frame is no slower."""
        started_s = time.monotonic()
        self.segment(np.zeros((*size_hw, 3), np.uint8))
        logger.info(
            "warmed up for %dx%d in %.1f s", size_hw[1], size_hw[0], time.monotonic() - started_s
        )

    def close(self) -> None:
        """Free the network; closing twice is fine."""
        with self._lock:
            self._plans.clear()
            if self._backend is not None:
                self._backend.close()
            self._backend = None

    def _make_plan(self, input_hw: SizeHW, output_size: str, with_confidence: bool) -> FramePlan:
        network_hw = _resolve_size(
            "size",
            self._size,
            ("card", "input"),
            {"card": self.card.size_hw, "input": input_hw},
        )
        output_hw = _resolve_size(
            "output_size",
            output_size,
            ("input", "network"),
            {"input": input_hw, "network": network_hw},
        )
        return FramePlan(
            input_hw=input_hw,
            network_hw=network_hw,
            output_hw=output_hw,
            with_confidence=with_confidence,
        )

    def _find_runner(self, plan: FramePlan) -> Runner:
        backend = self._require_backend()
        runner = self._plans.get(plan)
        if runner is None:
            runner = backend.prepare(plan)
            self._plans[plan] = runner
            if len(self._plans) > KEPT_PLANS:
                self._plans.popitem(last=False)
        self._plans.move_to_end(plan)
        return runner

    def _require_backend(self) -> Backend:
        if self._backend is None:
            raise BackendError.from_parts(
                "the segmenter is closed", "an open one", "make a new Segmenter"
            )
        return self._backend


def _resolve_size(
    name: str, text: str, words: tuple[str, ...], sizes_hw: dict[str, SizeHW]
) -> SizeHW:
    """Return the size that a word or `WxH` stands for; (0, 0) for a word not known yet."""
    if text in words:
        return sizes_hw.get(text, (0, 0))
    size_hw = parse_size(text)
    if size_hw is None or not is_size_usable(size_hw):
        raise ConfigError.from_parts(
            f"{name} is {text!r}",
            f"{', '.join(words)} or WxH of at least {MIN_SIDE_PX} px a side "
            f"and at most {MAX_SIZE_PIXELS} pixels",
            "set it to one of them",
        )
    return size_hw


def _choose_scales(scales: Sequence[float], card: ModelCard) -> tuple[float, ...]:
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


def _make_backend(
    source: NetworkSource,
    requested: str,
    precision: str,
    scales: tuple[float, ...],
    threads: int,
    cache_dir: str | Path | None,
) -> Backend:
    name = _choose_backend(requested)
    precision = choose_precision(precision, name, read_cpu_flags())
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
