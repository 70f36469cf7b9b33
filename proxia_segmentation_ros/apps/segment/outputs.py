"""Encode the results for an image as the files of each kind of output.

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
    """The results for an image; what no kind of output needs is None or empty.

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
    """Return a PNG file of class ids or of an RGB image."""
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    is_encoded, content = cv2.imencode(".png", picture)
    if not is_encoded:
        raise ValueError(f"no PNG of {picture.dtype} {picture.shape}")
    return content.tobytes()


def _draw_overlay(image: SegmentedImage) -> np.ndarray:
    return draw_overlay(
        image.image_HWC, image.labels_HW, image.label_set, alpha=image.alpha, boxes=image.boxes
    )


def _draw_composite(image: SegmentedImage) -> np.ndarray:
    return draw_composite(
        image.image_HWC,
        image.labels_HW,
        image.label_set,
        alpha=image.alpha,
        boxes=image.boxes,
        truth_HW=image.truth_HW,
    )


def _mark_errors(image: SegmentedImage) -> np.ndarray:
    truth_HW = _need(image.truth_HW)
    unlabeled_id = image.label_set.unlabeled_id
    mask_HW = np.where(find_wrong(image.labels_HW, truth_HW, unlabeled_id), WRONG, RIGHT)
    mask_HW[truth_HW == unlabeled_id] = IGNORED
    return mask_HW.astype(np.uint8)


def _scale_confidence(image: SegmentedImage) -> np.ndarray:
    best_HW = _need(image.probabilities_KHW).max(0)
    pixels_HW: np.ndarray = (best_HW * MAX_16).round().astype(np.uint16)
    return pixels_HW


PICTURES: dict[str, Callable[[SegmentedImage], np.ndarray]] = {
    "overlay": _draw_overlay,
    "colored": lambda image: colorize(image.labels_HW, image.label_set),
    "labels": lambda image: image.labels_HW,
    "composite": _draw_composite,
    "errors": _mark_errors,
    "confidence": lambda image: _need(image.confidence_HW),
    "confidence16": _scale_confidence,
}


def _encode_attention(image: SegmentedImage) -> list[bytes]:
    """Return a picture for each scale but the largest, whose attention is not used."""
    scales = sorted(image.attention_HW)
    pictures = [
        draw_attention(image.attention_HW[low], low, scales[index + 1 :])
        for index, low in enumerate(scales[:-1])
    ]
    return [encode_png(picture) for picture in pictures]


def _encode_probabilities(image: SegmentedImage) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(
        file,
        probabilities_KHW=_need(image.probabilities_KHW).astype(np.float16),
        class_names=np.array(image.label_set.names),
    )
    return file.getvalue()


def _to_source(image: SegmentedImage) -> np.ndarray:
    ids_HW: np.ndarray = _need(image.source_ids)[image.labels_HW]
    return ids_HW


def _need(array: np.ndarray | None) -> np.ndarray:
    if array is None:
        raise ValueError("this kind of output needs a map that was not requested")
    return array
