"""The sizes one compiled graph is made for, and what every backend offers."""

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
    """What to do with images of one size; each distinct plan is prepared once.

    `stream` names the camera where the network remembers frames, and is empty elsewhere.
    """

    input_hw: SizeHW
    network_hw: SizeHW
    output_hw: SizeHW
    with_confidence: bool
    stream: str = ""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """Which of the calls that run at one time a call is, and how many of them to make room for."""

    index: int = 0
    share: int = 1


ALONE = Lane()


@dataclass(frozen=True)
class LabelledImage:
    """What a runner made of one image, in memory of its own.

    `labels_HW` are class ids, `confidence_HW` is uint8, 0..255, or None where the plan has none.
    `tiles_run` of `tiles_total` tiles went through the network, at these `scales`.
    """

    labels_HW: np.ndarray
    confidence_HW: np.ndarray | None
    tiles_run: int = 1
    tiles_total: int = 1
    scales: tuple[float, ...] = (1.0,)


class Runner(Protocol):
    """Plans that were prepared together: one pass of the network over as many images.

    Takes contiguous images_HWC (uint8, RGB) of the plans' input sizes, in their order, and the
    probability (0..1) below which a pixel is unlabeled; plans without confidence ignore it.
    Marks the stages `pre`, `infer` and `post`.
    """

    def __call__(
        self, images_HWC: Sequence[np.ndarray], min_confidence: float, clock: StageClock
    ) -> list[LabelledImage]: ...


class Backend(Protocol):
    """Something that runs the network."""

    @property
    def name(self) -> str:
        """`openvino`, `torch` and so on."""

    @property
    def precision(self) -> str:
        """Arithmetic that the network really runs in."""

    @property
    def device_name(self) -> str:
        """Name of the processor."""

    # Whether it leaves scales and tiles out.
    is_pruned: bool
    # Images that can go through the network together, ascending, 1 among them.
    batch_sizes: tuple[int, ...]
    # Calls among which its threads can be divided, ascending, 1 among them.
    shares: tuple[int, ...]

    @property
    def threads(self) -> int:
        """CPU threads in use."""

    def load_network(self, network_hw: SizeHW, batch: int = 1) -> object:
        """Load and compile the network for this size and batch ahead of the first plan.

        Raises:
            BackendError: the graph can't be compiled.
            WeightsError: the weights can't be loaded.
        """

    def prepare(self, plans: tuple[FramePlan, ...], lane: Lane = ALONE) -> Runner:
        """Compile what plans of one network size need; their number is one of `batch_sizes`.

        Repeated parts are reused. Runners of lanes with different indices may run at one time.

        Raises:
            BackendError: the graph can't be compiled.
            WeightsError: the weights can't be loaded.
        """

    def close(self) -> None:
        """Free everything."""


def resolve_size(
    name: str, text: str, words: tuple[str, ...], sizes_hw: dict[str, SizeHW]
) -> SizeHW:
    """Return the size that a word or `WxH` stands for; (0, 0) for a word not known yet.

    Raises:
        ConfigError: it is neither, or no size that a network takes.
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
