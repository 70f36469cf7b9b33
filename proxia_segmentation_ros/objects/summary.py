"""Summarise label images: classes, their connected regions, and where these are.

Shape legend: H rows, W columns.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from proxia_segmentation_ros.config import OBJECT_DEFAULTS
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.objects.regions import Regions

NAN = float("nan")
CONFIDENCE_MAX = 255.0
NO_POSITION = (NAN, NAN, NAN)


class LabelledPixels(Protocol):
    """The fields of an `inference.Segmentation` that a summary needs."""

    @property
    def labels(self) -> np.ndarray:
        """Class ids (H, W), uint8 or uint16."""

    @property
    def confidence(self) -> np.ndarray | None:
        """Confidence (H, W), uint8, 255 times the probability; None if unknown."""


class SceneObject(NamedTuple):
    """One 8-connected region of a class; lengths in pixels of the label image.

    `mean_confidence` is 0..1, `depth_m` the median; NaN where unknown. `position_xyz` is the
    centroid in the camera's optical frame, metres. `track_id` 0 is not tracked.
    """

    track_id: int
    pixel_count: int
    box_xywh: tuple[int, int, int, int]
    centroid_xy: tuple[float, float]
    mean_confidence: float
    touches_border: bool
    depth_m: float
    position_xyz: tuple[float, float, float]


class SceneClass(NamedTuple):
    """A class in the image with its regions, largest first."""

    class_id: int
    class_name: str
    pixel_count: int
    area_fraction: float
    mean_confidence: float
    objects: tuple[SceneObject, ...]


@dataclass(frozen=True)
class Scene:
    """The summary of a label image: the classes in it, largest first."""

    width: int
    height: int
    unlabeled_fraction: float
    classes: tuple[SceneClass, ...]


def summarize(
    segmentation: LabelledPixels,
    label_set: LabelSet,
    *,
    min_area_px: int = OBJECT_DEFAULTS.min_area_px,
    max_per_class: int = OBJECT_DEFAULTS.max_per_class,
    depth_m_HW: np.ndarray | None = None,
    camera_matrix: tuple[float, float, float, float] | None = None,
) -> Scene:
    """Describe the classes and objects of one label image.

    Regions below `min_area_px` are left out; with `max_per_class` 0 no regions are searched.
    `depth_m_HW` shows the same view, at any size, NaN where unknown. `camera_matrix` is
    (fx, fy, cx, cy) of the label image.

    Raises:
        InputError: labels or depth are not two-dimensional or are empty.
    """
    labels_HW = segmentation.labels
    _check_labels(labels_HW)
    height, width = labels_HW.shape
    objects: dict[int, list[SceneObject]] = {}
    if max_per_class > 0:
        regions = Regions.find(labels_HW, segmentation.confidence)
        table = _ClassTable.add_up(
            regions.classes, regions.counts, regions.confidence_sums, len(label_set)
        )
        depth_m_HW = None if depth_m_HW is None else _fit_depth(depth_m_HW, height, width)
        chosen = choose_regions(regions.classes, regions.counts, min_area_px, max_per_class)
        objects = _describe_objects(regions, chosen, (height, width), depth_m_HW, camera_matrix)
    else:
        confidence_HW = segmentation.confidence
        sums = None if confidence_HW is None else confidence_HW.ravel()
        table = _ClassTable.add_up(labels_HW.ravel(), None, sums, len(label_set))
    return Scene(
        width=width,
        height=height,
        unlabeled_fraction=(labels_HW.size - int(table.pixels.sum())) / labels_HW.size,
        classes=table.describe(label_set.names, labels_HW.size, objects),
    )


def _check_labels(labels_HW: np.ndarray) -> None:
    if labels_HW.ndim != 2 or not labels_HW.size:
        raise InputError.from_parts(
            f"the label image has the shape {labels_HW.shape}", "(H, W)", "pass one label image"
        )


@dataclass(frozen=True)
class _ClassTable:
    """Pixels and mean confidence (NaN unknown) by class id."""

    pixels: np.ndarray
    confidence: np.ndarray

    @classmethod
    def add_up(
        cls,
        ids: np.ndarray,
        counts: np.ndarray | None,
        confidence_sums: np.ndarray | None,
        classes: int,
    ) -> "_ClassTable":
        """Add up pixels or regions by class; `counts` None is one pixel each."""
        pixels = np.bincount(ids, counts, minlength=classes)[:classes].astype(np.int64)
        confidence = np.full(classes, NAN)
        if confidence_sums is not None:
            sums = np.bincount(ids, confidence_sums, minlength=classes)[:classes]
            np.divide(sums, pixels * CONFIDENCE_MAX, out=confidence, where=pixels > 0)
        return cls(pixels, confidence)

    def describe(
        self, names: Sequence[str], area_px: int, objects: Mapping[int, list[SceneObject]]
    ) -> tuple[SceneClass, ...]:
        """Return the classes in the image, largest first."""
        pixels, confidence = self.pixels.tolist(), self.confidence.tolist()
        order = np.argsort(-self.pixels, kind="stable")[: np.count_nonzero(self.pixels)]
        return tuple(
            SceneClass(
                class_id=class_id,
                class_name=names[class_id],
                pixel_count=pixels[class_id],
                area_fraction=pixels[class_id] / area_px,
                mean_confidence=confidence[class_id],
                objects=tuple(objects.get(class_id, ())),
            )
            for class_id in order.tolist()
        )


def _describe_objects(
    regions: Regions,
    chosen: np.ndarray,
    size_hw: tuple[int, int],
    depth_m_HW: np.ndarray | None,
    camera_matrix: tuple[float, float, float, float] | None,
) -> dict[int, list[SceneObject]]:
    height, width = size_hw
    counts = regions.counts[chosen]
    confidence = np.full(len(chosen), NAN)
    if regions.confidence_sums is not None:
        confidence = regions.confidence_sums[chosen] / counts / CONFIDENCE_MAX
    median_m = _take_median_depth(regions, depth_m_HW, chosen)
    found: dict[int, list[SceneObject]] = {}
    for class_id, count, box, (y, x), mean, depth_m in zip(
        regions.classes[chosen].tolist(),
        counts.tolist(),
        regions.boxes_R4[chosen].tolist(),
        regions.centroids_yx[chosen].tolist(),
        confidence.tolist(),
        median_m[chosen].tolist(),
        strict=True,
    ):
        top, bottom, left, right = box
        # Positional, because keyword arguments take a third longer.
        region = SceneObject(
            0,  # not tracked
            count,
            (left, top, right - left + 1, bottom - top + 1),
            (x, y),
            mean,
            left == 0 or top == 0 or right == width - 1 or bottom == height - 1,
            depth_m,
            _project((x, y), depth_m, camera_matrix),
        )
        found.setdefault(class_id, []).append(region)
    return found


def choose_regions(
    region_classes: np.ndarray, counts: np.ndarray, min_area_px: int, max_per_class: int
) -> np.ndarray:
    """Return the indices of large enough regions, by class, largest first."""
    (candidates,) = (counts >= max(min_area_px, 1)).nonzero()
    classes = region_classes[candidates]
    order = np.lexsort((candidates, -counts[candidates], classes))
    classes = classes[order]
    rank = np.arange(len(order)) - classes.searchsorted(classes)
    chosen: np.ndarray = candidates[order][rank < max_per_class]
    return chosen


def _fit_depth(depth_m_HW: np.ndarray, height: int, width: int) -> np.ndarray:
    if depth_m_HW.ndim != 2 or not depth_m_HW.size:
        raise InputError.from_parts(
            f"the depth image has the shape {depth_m_HW.shape}", "(H, W)", "pass one depth image"
        )
    depth_m_HW = depth_m_HW.astype(np.float32, copy=False)
    if depth_m_HW.shape == (height, width):
        return depth_m_HW
    return cv2.resize(depth_m_HW, (width, height), interpolation=cv2.INTER_NEAREST)


def _take_median_depth(
    regions: Regions, depth_m_HW: np.ndarray | None, chosen: np.ndarray
) -> np.ndarray:
    """Return the median of the known depths of each region.

    A single sort of 64-bit keys: the region's id above the bits of its depth, since the bits of
    positive float32 numbers have the order of the numbers.
    """
    ids = len(regions.counts) + 1
    median_m = np.full(ids, NAN)
    if depth_m_HW is None or not len(chosen):
        return median_m[1:]
    regions_HW = regions.render_indices()
    is_chosen = np.zeros(ids, bool)
    is_chosen[chosen + 1] = True
    is_known = is_chosen[regions_HW] & (depth_m_HW > 0) & np.isfinite(depth_m_HW)
    region_ids = regions_HW[is_known].astype(np.uint64)
    depth_bits = depth_m_HW[is_known].view(np.uint32)
    keys = np.sort((region_ids << np.uint64(32)) | depth_bits)
    depth_m = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.float32)
    known = np.bincount(region_ids.astype(np.int64), minlength=ids)
    first = np.cumsum(known) - known
    seen = np.flatnonzero(known)
    lower = depth_m[first[seen] + (known[seen] - 1) // 2].astype(np.float64)
    upper = depth_m[first[seen] + known[seen] // 2]
    median_m[seen] = (lower + upper) / 2
    return median_m[1:]


def _project(
    centroid_xy: tuple[float, float],
    depth_m: float,
    camera_matrix: tuple[float, float, float, float] | None,
) -> tuple[float, float, float]:
    """Return the position in metres right of, below and ahead of the camera (pinhole model)."""
    if camera_matrix is None or not math.isfinite(depth_m):
        return NO_POSITION
    fx, fy, cx, cy = camera_matrix
    if fx <= 0 or fy <= 0:
        return NO_POSITION
    x, y = centroid_xy
    return ((x - cx) / fx * depth_m, (y - cy) / fy * depth_m, depth_m)
