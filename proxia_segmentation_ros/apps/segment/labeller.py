"""Finds in an image what the chosen outputs show, with the segmenter that can."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

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
from proxia_segmentation_ros.inference import Segmentation, summarize
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.render import Box, select_boxes

if TYPE_CHECKING:
    from proxia_segmentation_ros.inference import Scene

# Labels, probabilities_KHW and attention_HW by scale, as far as the settings need them.
Found: TypeAlias = tuple[Segmentation, np.ndarray | None, dict[float, np.ndarray]]
Look: TypeAlias = Callable[[np.ndarray], Found]


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
            self._segmenter, self._look = _open_exact(settings)
        else:
            self._segmenter, self._look = _open_fast(settings, bool(kinds & CONFIDENCE_KINDS))

    def label(
        self, image_HWC: np.ndarray, truth_HW: np.ndarray | None
    ) -> tuple[SegmentedImage, "Scene"]:
        """Label one image.

        Raises:
            InputError: the image is too small.
        """
        segmentation, probabilities_KHW, attention_HW = self._look(image_HWC)
        scene = summarize(segmentation, self._label_set)
        segmented = SegmentedImage(
            image_HWC=image_HWC,
            labels_HW=segmentation.labels,
            label_set=self._label_set,
            confidence_HW=segmentation.confidence,
            probabilities_KHW=probabilities_KHW,
            attention_HW=attention_HW,
            truth_HW=truth_HW,
            boxes=_list_boxes(scene, self._label_set) if self._settings.boxes else (),
            alpha=self._settings.alpha,
            source_ids=self._source_ids,
        )
        return segmented, scene

    def close(self) -> None:
        """Free the network."""
        self._segmenter.close()


def _list_boxes(scene: "Scene", label_set: LabelSet) -> list[Box]:
    """Return the boxes of a scene that are worth drawing."""
    boxes = [
        (*region.box_xywh, summary.class_id)
        for summary in scene.classes
        for region in summary.objects
    ]
    return select_boxes(boxes, label_set, scene.width * scene.height)


def _open_exact(settings: SegmentSettings) -> tuple[_Closable, Look]:
    from proxia_segmentation_ros.evaluation.exact_segmenter import RequestedMaps

    segmenter = settings.open_exact()
    kinds = {*settings.write}
    wanted = RequestedMaps(
        confidence=bool(kinds & CONFIDENCE_KINDS),
        probabilities=bool(kinds & {PROBABILITIES, "confidence16"}),
        attention=ATTENTION in kinds,
    )

    def look(image_HWC: np.ndarray) -> Found:
        exact = segmenter.compute_maps(image_HWC, wanted)
        size_hw = (image_HWC.shape[0], image_HWC.shape[1])
        segmentation = Segmentation(exact.labels, exact.confidence, size_hw)
        return segmentation, exact.probabilities_KHW, exact.attention_HW

    return segmenter, look


def _open_fast(settings: SegmentSettings, with_confidence: bool) -> tuple[_Closable, Look]:
    segmenter = settings.open_fast()

    def look(image_HWC: np.ndarray) -> Found:
        return segmenter.segment(image_HWC, with_confidence), None, {}

    return segmenter, look
