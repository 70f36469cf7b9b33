"""The step that all cameras share: their frames labelled, in one call or in several at a time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxia_segmentation_ros.inference.segmenter_factory import FrameSegmenter
from proxia_segmentation_ros.pipeline.workers import Capacity
from proxia_segmentation_ros.ros.node.camera_stream import CameraFrame, SharedSettings

if TYPE_CHECKING:
    # Importing the segmenter imports torch.
    from proxia_segmentation_ros.inference.segmenter import Segmentation


class FrameLabeller:
    """Label frames with the settings in force; called by the pipeline's workers."""

    def __init__(self, segmenter: FrameSegmenter, settings: SharedSettings) -> None:
        self._segmenter = segmenter
        self._settings = settings

    def find_capacity(self) -> Capacity:
        """Return how many frames are worth one call, and how many calls run at a time."""
        return Capacity(self._segmenter.largest_batch, self._segmenter.lanes)

    def label(self, frames: Sequence[CameraFrame]) -> "list[Segmentation]":
        """Run the network; images may differ in size."""
        output = self._settings.value.output
        return self._segmenter.segment_many(
            [frame.image_HWC for frame in frames],
            [frame.wants_confidence for frame in frames],
            output_size=output.size,
            min_confidence=output.min_confidence,
            streams=[frame.camera for frame in frames],
        )
