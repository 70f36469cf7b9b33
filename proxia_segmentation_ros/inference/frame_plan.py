"""The sizes one compiled graph is made for, and what every backend offers."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from proxia_segmentation_ros.config import SizeHW


@dataclass(frozen=True, kw_only=True)
class FramePlan:
    """What to do with images of one size; each distinct plan is prepared once."""

    input_hw: SizeHW
    network_hw: SizeHW
    output_hw: SizeHW
    with_confidence: bool


class Runner(Protocol):
    """A prepared plan.

    Takes a contiguous image_HWC (uint8, RGB) of the plan's input size and the probability
    (0..1) below which a pixel is unlabeled; plans without confidence ignore it. Returns
    labels_HW and confidence_HW (uint8, 0..255) in memory of their own.
    """

    def __call__(
        self, image_HWC: np.ndarray, min_confidence: float
    ) -> tuple[np.ndarray, np.ndarray | None]: ...


class Backend(Protocol):
    """Something that runs the network."""

    name: str
    precision: str
    device_name: str

    @property
    def threads(self) -> int:
        """CPU threads in use."""

    def load_network(self, network_hw: SizeHW) -> object:
        """Load and compile the network for this size ahead of the first plan.

        Raises:
            BackendError: the graph can't be compiled.
            WeightsError: the weights can't be loaded.
        """

    def prepare(self, plan: FramePlan) -> Runner:
        """Compile what the plan needs; repeated parts are reused.

        Raises:
            BackendError: the graph can't be compiled.
            WeightsError: the weights can't be loaded.
        """

    def close(self) -> None:
        """Free everything."""
