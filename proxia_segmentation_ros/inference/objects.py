"""Object summaries: the connected regions of every class, found in one pass.

Statistics come from sums over runs of equal pixels, never from a loop over classes or pixels.
Shape legend: H rows, W columns; R regions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import cc3d
import cv2
import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import LabelSet

if TYPE_CHECKING:
    from proxia_segmentation_ros.inference.segmenter import Segmentation

NAN = float("nan")
CONFIDENCE_MAX = 255.0
NO_POSITION = (NAN, NAN, NAN)


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
    """A class that is present, with its regions, largest first."""

    class_id: int
    class_name: str
    pixel_count: int
    area_fraction: float
    mean_confidence: float
    objects: tuple[SceneObject, ...]


@dataclass(frozen=True)
class Scene:
    """What a label image holds: present classes, largest first."""

    width: int
    height: int
    unlabeled_fraction: float
    classes: tuple[SceneClass, ...]


def summarize(
    segmentation: "Segmentation",
    label_set: LabelSet,
    *,
    min_area_px: int = 64,
    max_per_class: int = 50,
    depth_m_HW: np.ndarray | None = None,
    camera_matrix: tuple[float, float, float, float] | None = None,
) -> Scene:
    """Describe the classes and objects of one label image.

    Regions below `min_area_px` are left out; `max_per_class` 0 finds no regions at all.
    `depth_m_HW` belongs to the same view, at any size, NaN where unknown. `camera_matrix` is
    (fx, fy, cx, cy) of the label image.

    Raises:
        InputError: labels or depth are not two-dimensional or are empty.
    """
    labels_HW = segmentation.labels
    _check_labels(labels_HW)
    height, width = labels_HW.shape
    objects: dict[int, list[SceneObject]] = {}
    if max_per_class > 0:
        regions = _Regions.find(labels_HW, segmentation.confidence)
        table = _ClassTable.add_up(
            regions.classes, regions.counts, regions.confidence_sums, len(label_set)
        )
        depth_m_HW = None if depth_m_HW is None else _fit_depth(depth_m_HW, height, width)
        objects = _describe_objects(regions, min_area_px, max_per_class, depth_m_HW, camera_matrix)
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
        """Return the classes that are present, largest first."""
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


@dataclass(frozen=True)
class _Regions:
    """Every region of labelled pixels: that of index i has the id i + 1 in `ids_HW`.

    `boxes_R4` are first row, last row, first column, last column; `confidence_sums` is None
    without confidence.
    """

    ids_HW: np.ndarray
    classes: np.ndarray
    counts: np.ndarray
    boxes_R4: np.ndarray
    centroids_yx: np.ndarray
    confidence_sums: np.ndarray | None

    @classmethod
    def find(cls, labels_HW: np.ndarray, confidence_HW: np.ndarray | None) -> "_Regions":
        # cc3d drops id 0: moved up by one, the unlabeled id wraps around to just that.
        ids_HW = cc3d.connected_components(labels_HW + labels_HW.dtype.type(1), connectivity=8)
        runs = _Runs.split(ids_HW)
        firsts, lengths = runs.firsts, runs.lengths
        addends = np.empty((3 if confidence_HW is None else 4, len(lengths)))
        addends[0] = lengths
        np.multiply(lengths, runs.rows, out=addends[1])
        np.multiply(lengths, runs.columns + (lengths - 1) / 2, out=addends[2])
        if confidence_HW is not None:
            addends[3] = runs.sum_pixels(confidence_HW)
        totals = np.add.reduceat(addends, firsts, axis=1)
        boxes_R4 = np.empty((len(firsts), 4), np.int64)
        boxes_R4[:, 0] = runs.rows[firsts]
        boxes_R4[:, 1] = runs.rows[np.append(firsts, len(lengths))[1:] - 1]
        boxes_R4[:, 2] = np.minimum.reduceat(runs.columns, firsts)
        boxes_R4[:, 3] = np.maximum.reduceat(runs.columns + lengths, firsts) - 1
        return cls(
            ids_HW,
            labels_HW.reshape(-1)[runs.starts[firsts]],
            totals[0].astype(np.int64),
            boxes_R4,
            (totals[1:3] / totals[0]).T,
            None if confidence_HW is None else totals[3],
        )


@dataclass(frozen=True, eq=False)
class _Runs:
    """Stretches of one region within a row, region by region, in the image's order within each.

    There are far fewer of them than pixels. `firsts` is each region's first run.
    """

    starts: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    lengths: np.ndarray
    firsts: np.ndarray

    @classmethod
    def split(cls, ids_HW: np.ndarray) -> "_Runs":
        width = ids_HW.shape[1]
        ids = ids_HW.reshape(-1)
        is_start = np.empty(ids.size, bool)
        np.not_equal(ids[1:], ids[:-1], out=is_start[1:])
        is_start[::width] = True
        (starts,) = is_start.nonzero()
        lengths = np.append(starts[1:], ids.size) - starts
        of_runs = ids[starts]
        order = of_runs.argsort(kind="stable")
        order = order[of_runs.searchsorted(1, sorter=order) :]
        starts, of_runs = starts[order], of_runs[order]
        is_first = np.ones(len(order), bool)
        np.not_equal(of_runs[1:], of_runs[:-1], out=is_first[1:])
        rows = starts // width
        return cls(starts, rows, starts - rows * width, lengths[order], is_first.nonzero()[0])

    def sum_pixels(self, values_HW: np.ndarray) -> np.ndarray:
        """Return the sum of uint8 values over each run, by differences of an integral image."""
        # float64 holds such sums exactly; int32 overflows in large images.
        integral = cv2.integral(values_HW, sdepth=cv2.CV_64F)
        stride = integral.shape[1]
        above_left = self.rows * stride + self.columns
        above_right = above_left + self.lengths
        flat = integral.reshape(-1)
        above = flat[above_right] - flat[above_left]
        sums: np.ndarray = flat[above_right + stride] - flat[above_left + stride] - above
        return sums


def _describe_objects(
    regions: _Regions,
    min_area_px: int,
    max_per_class: int,
    depth_m_HW: np.ndarray | None,
    camera_matrix: tuple[float, float, float, float] | None,
) -> dict[int, list[SceneObject]]:
    height, width = regions.ids_HW.shape
    chosen = choose_regions(regions.classes, regions.counts, min_area_px, max_per_class)
    counts = regions.counts[chosen]
    confidence = np.full(len(chosen), NAN)
    if regions.confidence_sums is not None:
        confidence = regions.confidence_sums[chosen] / counts / CONFIDENCE_MAX
    median_m = _take_median_depth(regions.ids_HW, depth_m_HW, chosen, len(regions.counts))
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
        found.setdefault(class_id, []).append(
            SceneObject(
                track_id=0,
                pixel_count=count,
                box_xywh=(left, top, right - left + 1, bottom - top + 1),
                centroid_xy=(x, y),
                mean_confidence=mean,
                touches_border=(
                    left == 0 or top == 0 or right == width - 1 or bottom == height - 1
                ),
                depth_m=depth_m,
                position_xyz=_project((x, y), depth_m, camera_matrix),
            )
        )
    return found


def choose_regions(
    region_classes: np.ndarray, counts: np.ndarray, min_area_px: int, max_per_class: int
) -> np.ndarray:
    """Return indices of regions that are large enough, class by class, largest first."""
    candidates = np.flatnonzero(counts >= max(min_area_px, 1))
    classes = region_classes[candidates]
    order = np.lexsort((candidates, -counts[candidates], classes))
    classes = classes[order]
    rank = np.arange(len(order)) - np.searchsorted(classes, classes)
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
    regions_HW: np.ndarray, depth_m_HW: np.ndarray | None, chosen: np.ndarray, regions: int
) -> np.ndarray:
    """Return the median of the known depths by region.

    One sort does it: above the bits of a depth, which order like the positive number itself,
    lies the region's id.
    """
    median_m = np.full(regions + 1, NAN)
    if depth_m_HW is None or not len(chosen):
        return median_m[1:]
    is_chosen = np.zeros(regions + 1, bool)
    is_chosen[chosen + 1] = True
    is_known = is_chosen[regions_HW] & (depth_m_HW > 0) & np.isfinite(depth_m_HW)
    region_ids = regions_HW[is_known].astype(np.uint64)
    depth_bits = depth_m_HW[is_known].view(np.uint32)
    keys = np.sort((region_ids << np.uint64(32)) | depth_bits)
    depth_m = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.float32)
    known = np.bincount(region_ids.astype(np.int64), minlength=regions + 1)
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
    """Return metres right, down and ahead of the camera."""
    if camera_matrix is None or not math.isfinite(depth_m):
        return NO_POSITION
    fx, fy, cx, cy = camera_matrix
    if fx <= 0 or fy <= 0:
        return NO_POSITION
    x, y = centroid_xy
    return ((x - cx) / fx * depth_m, (y - cy) / fy * depth_m, depth_m)
