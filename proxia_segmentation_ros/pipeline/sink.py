"""Data types of a frame in the pipeline, and the sink protocol that receives its results.

Shape legend: H rows, W columns, C colour channels (RGB).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.objects.summary import Scene

if TYPE_CHECKING:
    # Importing the segmenter takes time.
    from proxia_segmentation_ros.inference.segmenter import Segmentation

Stamp = tuple[int, int]
CameraMatrix = tuple[float, float, float, float]


@dataclass
class SharedSettings:
    """The current settings; only a worker task replaces them, so they never change mid-frame."""

    value: NodeSettings


class Demand(NamedTuple):
    """The outputs that one frame needs besides its labels.

    `confidence` is to be computed, `confidence_image` also to be published.
    """

    confidence: bool = False
    confidence_image: bool = False
    summary: bool = False
    colored: bool = False
    overlay: bool = False


@dataclass(frozen=True, kw_only=True)
class DecodedImage:
    """Pixels (uint8 RGB) with the stamp (seconds, nanoseconds) and frame_id for all results.

    `attachment` is opaque data that the decoder passes to its sink.
    """

    image_HWC: np.ndarray
    stamp: Stamp = (0, 0)
    frame_id: str = ""
    attachment: Any = None


@dataclass(frozen=True, kw_only=True)
class Frame(DecodedImage):
    """A decoded image of one camera, and the outputs that it needs."""

    camera: str
    demand: Demand


class Geometry(NamedTuple):
    """Depth and calibration that belong to one frame.

    `depth_m_HW` is in metres, NaN where unknown. `camera_matrix` is (fx, fy, cx, cy) of the label
    image. `calibration` is the message that the sink may publish.
    """

    depth_m_HW: np.ndarray | None = None
    camera_matrix: CameraMatrix | None = None
    calibration: Any = None


class Sink(Protocol):
    """Receives the results of one camera; called by one worker at a time, in this order."""

    def read_demand(self) -> Demand:
        """Return the outputs that the next frame needs; called once per frame, when decoded."""

    def send_labels(self, frame: Frame, segmentation: "Segmentation") -> None:
        """Publish the labels; the calls below follow once the labels of all cameras are out."""

    def send_aligned(self, frame: Frame, segmentation: "Segmentation", geometry: Geometry) -> None:
        """Publish what belongs to the label image: confidence if in the demand, calibration."""

    def send_summary(self, frame: Frame, scene: Scene) -> None:
        """Publish the object summary; called only if the demand asks for it."""

    def send_pictures(
        self, frame: Frame, segmentation: "Segmentation", scene: Scene | None
    ) -> None:
        """Publish the pictures in the demand; `scene` is None if nobody needed one."""
