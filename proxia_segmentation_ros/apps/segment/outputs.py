"""What was found in an image, as the bytes of each file that shows it.

Shape legend: K classes, H rows, W columns, C colour channels (RGB).
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from proxia_segmentation_ros.apps.defaults import OVERLAY_ALPHA
from proxia_segmentation_ros.apps.segment.layout import (
    ATTENTION,
    AUTOLABELS,
    PROBABILITIES,
    SUBMISSION,
)
from proxia_segmentation_ros.apps.segment.pictures import draw_attention, draw_composite
from proxia_segmentation_ros.apps.segment.truth import find_wrong
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.render import Box, colorize, draw_overlay

# Values of an error mask.
RIGHT, IGNORED, WRONG = 0, 127, 255
MAX_8, MAX_16 = 255, 65535


@dataclass(frozen=True, kw_only=True)
class SegmentedImage:
    """One labelled image; what no chosen kind needs is None or empty.

    `confidence_HW` is 255 times the probability of the most probable class.
    """

    image_HWC: np.ndarray
    labels_HW: np.ndarray
    label_set: LabelSet
    confidence_HW: np.ndarray | None = None
    probabilities_KHW: np.ndarray | None = None
    attention_HW: Mapping[float, np.ndarray] = field(default_factory=dict)
    truth_HW: np.ndarray | None = None
    boxes: Sequence[Box] = ()
    alpha: float = OVERLAY_ALPHA
    source_ids: np.ndarray | None = None


def encode_kind(kind: str, segmented: SegmentedImage) -> list[bytes]:
    """Return the content of each file of a kind, in the order of `Layout.place`."""
    if kind == ATTENTION:
        return _encode_attention(segmented)
    if kind == PROBABILITIES:
        return [_encode_probabilities(segmented)]
    if kind == SUBMISSION:
        return [encode_png(_to_source(segmented))]
    if kind == AUTOLABELS:
        return [encode_png(_to_source(segmented)), encode_png(_need(segmented.confidence_HW))]
    return [encode_png(PICTURES[kind](segmented))]


def encode_png(picture: np.ndarray) -> bytes:
    """Return a PNG file of ids or of RGB."""
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    is_encoded, content = cv2.imencode(".png", picture)
    if not is_encoded:
        raise ValueError(f"no PNG of {picture.dtype} {picture.shape}")
    return content.tobytes()


def _draw_overlay(one: SegmentedImage) -> np.ndarray:
    return draw_overlay(
        one.image_HWC, one.labels_HW, one.label_set, alpha=one.alpha, boxes=one.boxes
    )


def _draw_composite(one: SegmentedImage) -> np.ndarray:
    return draw_composite(
        one.image_HWC,
        one.labels_HW,
        one.label_set,
        alpha=one.alpha,
        boxes=one.boxes,
        truth_HW=one.truth_HW,
    )


def _mark_errors(one: SegmentedImage) -> np.ndarray:
    truth_HW = _need(one.truth_HW)
    unlabeled_id = one.label_set.unlabeled_id
    mask_HW = np.where(find_wrong(one.labels_HW, truth_HW, unlabeled_id), WRONG, RIGHT)
    mask_HW[truth_HW == unlabeled_id] = IGNORED
    return mask_HW.astype(np.uint8)


def _scale_confidence(one: SegmentedImage) -> np.ndarray:
    best_HW = _need(one.probabilities_KHW).max(0)
    pixels_HW: np.ndarray = (best_HW * MAX_16).round().astype(np.uint16)
    return pixels_HW


PICTURES: dict[str, Callable[[SegmentedImage], np.ndarray]] = {
    "overlay": _draw_overlay,
    "colored": lambda one: colorize(one.labels_HW, one.label_set),
    "labels": lambda one: one.labels_HW,
    "composite": _draw_composite,
    "errors": _mark_errors,
    "confidence": lambda one: _need(one.confidence_HW),
    "confidence16": _scale_confidence,
}


def _encode_attention(one: SegmentedImage) -> list[bytes]:
    """Return a picture for each scale but the largest, whose attention nothing uses."""
    scales = sorted(one.attention_HW)
    pictures = [
        draw_attention(one.attention_HW[low], low, scales[index + 1 :])
        for index, low in enumerate(scales[:-1])
    ]
    return [encode_png(picture) for picture in pictures]


def _encode_probabilities(one: SegmentedImage) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(
        file,
        probabilities_KHW=_need(one.probabilities_KHW).astype(np.float16),
        class_names=np.array(one.label_set.names),
    )
    return file.getvalue()


def _to_source(one: SegmentedImage) -> np.ndarray:
    ids_HW: np.ndarray = _need(one.source_ids)[one.labels_HW]
    return ids_HW


def _need(array: np.ndarray | None) -> np.ndarray:
    if array is None:
        raise ValueError("the segmenter was not asked for what this kind shows")
    return array
