"""The interface of backends: plans of sizes in, runners out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.config import (
    MAX_SIZE_PIXELS,
    MIN_SIDE_PX,
    SizeHW,
    is_size_usable,
    parse_size,
)
from proxia_segmentation_ros.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class FramePlan:
    """Sizes and outputs for images of one size; each distinct plan is prepared once.

    `stream` names the camera if the backend keeps state between frames, else it is empty.
    """

    input_hw: SizeHW
    network_hw: SizeHW
    output_hw: SizeHW
    with_confidence: bool
    stream: str = ""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A slot for concurrent calls: its index, and among how many slots the threads are divided."""

    index: int = 0
    share: int = 1


ALONE = Lane()


@dataclass(frozen=True)
class LabelledImage:
    """Result of a runner for one image; the arrays are copies that no later call overwrites.

    `labels_HW` are class ids; `confidence_HW` is uint8, 0..255, or None if the plan has none.
    `tiles_run` of `tiles_total` tiles went through the network, at these `scales`.
    """

    labels_HW: np.ndarray
    confidence_HW: np.ndarray | None
    tiles_run: int = 1
    tiles_total: int = 1
    scales: tuple[float, ...] = (1.0,)


class Runner(Protocol):
    """Runs the plans that were prepared together: a batch with one image for each plan.

    Takes contiguous images_HWC (uint8, RGB) of the plans' input sizes, in their order, and the
    probability (0..1) below which a pixel is unlabeled; plans without confidence ignore it.
    Marks the stages `pre`, `infer` and `post` on the clock.
    """

    def __call__(
        self, images_HWC: Sequence[np.ndarray], min_confidence: float, clock: StageClock
    ) -> list[LabelledImage]: ...


class Backend(Protocol):
    """A library on a device that runs the network."""

    @property
    def name(self) -> str:
        """`openvino`, `torch` and so on."""

    @property
    def precision(self) -> str:
        """Numeric precision that the network really runs in: `f32`, `bf16`, `f16` or `int8`."""

    @property
    def device_name(self) -> str:
        """Name of the processor."""

    # Whether it skips scales and tiles.
    is_pruned: bool
    # Supported batch sizes, ascending, 1 among them.
    batch_sizes: tuple[int, ...]
    # Supported numbers of concurrent calls that share the threads, ascending, 1 among them.
    shares: tuple[int, ...]

    @property
    def threads(self) -> int:
        """CPU threads in use."""

    def load_network(self, network_hw: SizeHW, batch: int = 1) -> object:
        """Load and compile the network for this size and batch before the first plan.

        Raises:
            BackendError: the graph can't be compiled.
            WeightsError: the weights can't be loaded.
        """

    def prepare(self, plans: tuple[FramePlan, ...], lane: Lane = ALONE) -> Runner:
        """Compile for plans of the same network size; their number is one of `batch_sizes`.

        Compiled parts are reused. Runners of lanes with different indices may run concurrently.

        Raises:
            BackendError: the graph can't be compiled.
            WeightsError: the weights can't be loaded.
        """

    def discard_cached(self, network_hw: SizeHW, batch: int = 1) -> bool:
        """Remove the network of this size and batch, there and here, if it came from the cache."""

    def close(self) -> None:
        """Release all resources."""


def resolve_size(
    name: str, text: str, words: tuple[str, ...], sizes_hw: dict[str, SizeHW]
) -> SizeHW:
    """Return the size of a keyword or of `WxH`; (0, 0) for a keyword whose size is not known yet.

    Raises:
        ConfigError: neither a keyword nor a size that the network accepts.
    """
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
