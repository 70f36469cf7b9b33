"""Segments one image for the chosen outputs, by the steps of the pipeline."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np

from proxia_segmentation_ros.apps.segment.layout import (
    ATTENTION,
    AUTOLABELS,
    PROBABILITIES,
    SUBMISSION,
)
from proxia_segmentation_ros.apps.segment.outputs import SegmentedImage
from proxia_segmentation_ros.apps.segment.settings import CONFIDENCE_KINDS, SegmentSettings
from proxia_segmentation_ros.apps.segment.truth import make_source_ids
from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.inference import Segmentation
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.objects.summary import Scene
from proxia_segmentation_ros.pipeline.sink import (
    DecodedImage,
    Demand,
    Frame,
    Geometry,
    SharedSettings,
)
from proxia_segmentation_ros.pipeline.stream import CameraStream, process_frame
from proxia_segmentation_ros.render import Box, select_boxes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DetailedSegmentation(Segmentation):
    """A segmentation with what an exact segmenter was asked for besides.

    `attention_HW` is by scale.
    """

    probabilities_KHW: np.ndarray | None = None
    attention_HW: Mapping[float, np.ndarray] = field(default_factory=dict)


SegmentImage: TypeAlias = Callable[[np.ndarray], Segmentation]


class _Closable(Protocol):
    def close(self) -> None:
        """Free what is held."""


class Labeller:
    """What robots run, or the exact segmenter where the settings need it."""

    def __init__(
        self, settings: SegmentSettings, label_set: LabelSet, source_set: LabelSet
    ) -> None:
        """Load the weights; errors are those of the segmenters.

        `label_set` colours what is drawn; `source_set` has the same classes and source ids.
        """
        kinds = {*settings.write}
        self._settings = settings
        self._label_set = label_set
        self._source_ids = make_source_ids(source_set) if kinds & {SUBMISSION, AUTOLABELS} else None
        if settings.is_exact:
            self._segmenter, self._segment_image = _open_exact(settings)
        else:
            self._segmenter, self._segment_image = _open_fast(
                settings, bool(kinds & CONFIDENCE_KINDS)
            )
        self._result: tuple[SegmentedImage, Scene] | None = None
        self._stream = CameraStream(
            "",
            SharedSettings(NodeSettings()),
            label_set,
            self,
            decode=lambda image: image,
            report=logger.warning,
        )

    def label(
        self, image_HWC: np.ndarray, truth_HW: np.ndarray | None
    ) -> tuple[SegmentedImage, Scene]:
        """Segment and summarise one image by the pipeline's steps.

        Raises:
            InputError: the image is too small.
        """
        image = DecodedImage(image_HWC=image_HWC, attachment=truth_HW)
        process_frame(self._stream, image, self._segment)
        result, self._result = self._result, None
        if result is None:
            raise ValueError("the steps of the pipeline ended without a result")
        return result

    def _segment(self, frames: Sequence[Frame]) -> list[Segmentation]:
        return [self._segment_image(frame.image_HWC) for frame in frames]

    # The sink of the stream: it keeps an image's results until they are written.

    def read_demand(self) -> Demand:
        """Return what every image is asked for."""
        return Demand(summary=True)

    def send_labels(self, frame: Frame, segmentation: Segmentation) -> None:
        """Let the labels wait for what is written with them."""

    def send_aligned(self, frame: Frame, segmentation: Segmentation, geometry: Geometry) -> None:
        """Let the confidence wait, too."""

    def send_summary(self, frame: Frame, scene: Scene) -> None:
        """Let the summary wait, too."""

    def send_pictures(self, frame: Frame, segmentation: Segmentation, scene: Scene | None) -> None:
        """Keep all that the chosen outputs show."""
        if scene is None:
            raise ValueError("the demand of this sink asks for a summary")
        details = segmentation if isinstance(segmentation, DetailedSegmentation) else None
        segmented = SegmentedImage(
            image_HWC=frame.image_HWC,
            labels_HW=segmentation.labels,
            label_set=self._label_set,
            confidence_HW=segmentation.confidence,
            probabilities_KHW=None if details is None else details.probabilities_KHW,
            attention_HW={} if details is None else details.attention_HW,
            truth_HW=frame.attachment,
            boxes=self._list_boxes(scene),
            alpha=self._settings.alpha,
            source_ids=self._source_ids,
        )
        self._result = segmented, scene

    def _list_boxes(self, scene: Scene) -> list[Box]:
        """Return the boxes that are worth drawing."""
        if not self._settings.boxes:
            return []
        boxes = [
            (*region.box_xywh, summary.class_id)
            for summary in scene.classes
            for region in summary.objects
        ]
        return select_boxes(boxes, self._label_set, scene.width * scene.height)

    def close(self) -> None:
        """Free the network."""
        self._segmenter.close()


def _open_exact(settings: SegmentSettings) -> tuple[_Closable, SegmentImage]:
    from proxia_segmentation_ros.evaluation.exact_segmenter import RequestedMaps

    segmenter = settings.open_exact()
    kinds = {*settings.write}
    wanted = RequestedMaps(
        confidence=bool(kinds & CONFIDENCE_KINDS),
        probabilities=bool(kinds & {PROBABILITIES, "confidence16"}),
        attention=ATTENTION in kinds,
    )

    def segment_image(image_HWC: np.ndarray) -> DetailedSegmentation:
        exact = segmenter.compute_maps(image_HWC, wanted)
        return DetailedSegmentation(
            exact.labels,
            exact.confidence,
            (image_HWC.shape[0], image_HWC.shape[1]),
            probabilities_KHW=exact.probabilities_KHW,
            attention_HW=exact.attention_HW,
        )

    return segmenter, segment_image


def _open_fast(settings: SegmentSettings, with_confidence: bool) -> tuple[_Closable, SegmentImage]:
    segmenter = settings.open_fast()

    return segmenter, lambda image_HWC: segmenter.segment(image_HWC, with_confidence)
