"""What a frame is on its way, and where its results go.

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
    """The settings in force; replaced by a task of the workers, while no frame is under way."""

    value: NodeSettings


class Demand(NamedTuple):
    """What is wanted of one frame besides its labels."""

    confidence: bool = False
    summary: bool = False
    colored: bool = False
    overlay: bool = False


@dataclass(frozen=True, kw_only=True)
class DecodedImage:
    """Pixels (uint8 RGB) with the stamp (seconds, nanoseconds) and frame that results carry.

    `attachment` is what the decoder wants its sink to find in the frame.
    """

    image_HWC: np.ndarray
    stamp: Stamp = (0, 0)
    frame_id: str = ""
    attachment: Any = None


@dataclass(frozen=True, kw_only=True)
class Frame(DecodedImage):
    """A decoded image of one camera, and what is wanted of it."""

    camera: str
    demand: Demand


class Geometry(NamedTuple):
    """What is known of the camera at a frame's moment.

    `depth_m_HW` is NaN where unknown, `camera_matrix` (fx, fy, cx, cy) that of the label image,
    `calibration` what the sink may want to send on.
    """

    depth_m_HW: np.ndarray | None = None
    camera_matrix: CameraMatrix | None = None
    calibration: Any = None


class Sink(Protocol):
    """Where one camera's results go; called by one worker at a time, in this order."""

    def read_demand(self) -> Demand:
        """Return what is wanted of the next frame; asked once for each, before it is segmented."""

    def send_labels(self, frame: Frame, segmentation: "Segmentation") -> None:
        """Send the labels; what follows can wait until the labels of all cameras are out."""

    def send_summary(self, frame: Frame, scene: Scene) -> None:
        """Send the object summary; called where the demand has it."""

    def send_views(
        self, frame: Frame, segmentation: "Segmentation", scene: Scene | None, geometry: Geometry
    ) -> None:
        """Send what else the demand has: confidence, calibration, pictures."""
