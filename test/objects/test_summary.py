"""Object summaries against a slow, obvious reference."""

import math
from collections import deque

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.inference import Scene, Segmentation, summarize
from proxia_segmentation_ros.labels import LabelClass, LabelSet
from proxia_segmentation_ros.objects.summary import SceneObject

UNLABELED = 255


def make_label_set(classes: int) -> LabelSet:
    return LabelSet(
        name="test",
        classes=tuple(
            LabelClass(id=index, name=f"class{index}", rgb=(index % 256, 0, 0))
            for index in range(classes)
        ),
    )


LABEL_SET = make_label_set(5)


def make_segmentation(
    labels_HW: np.ndarray, confidence_HW: np.ndarray | None = None
) -> Segmentation:
    return Segmentation(labels_HW, confidence_HW, labels_HW.shape)


def draw_blobs(seed: int, height: int = 60, width: int = 80) -> np.ndarray:
    """Draw patches of five classes with unlabeled holes."""
    noise = np.random.default_rng(seed).normal(size=(height // 4, width // 4, 6))
    labels_HW = cv2.resize(noise.astype(np.float32), (width, height)).argmax(2).astype(np.uint8)
    labels_HW[labels_HW == 5] = UNLABELED
    return labels_HW


def flood(labels_HW: np.ndarray) -> list[tuple[int, list[tuple[int, int]]]]:
    """Return (class id, pixels) of every 8-connected region."""
    height, width = labels_HW.shape
    is_done = labels_HW == UNLABELED
    regions = []
    for start in np.ndindex(height, width):
        if is_done[start]:
            continue
        is_done[start] = True
        pixels, waiting = [], deque([start])
        while waiting:
            row, column = waiting.popleft()
            pixels.append((row, column))
            for near_row in range(max(row - 1, 0), min(row + 2, height)):
                for near_column in range(max(column - 1, 0), min(column + 2, width)):
                    near = (near_row, near_column)
                    if not is_done[near] and labels_HW[near] == labels_HW[start]:
                        is_done[near] = True
                        waiting.append(near)
        regions.append((int(labels_HW[start]), pixels))
    return regions


@pytest.mark.parametrize("seed", range(4))
def test_scene_is_what_flood_filling_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels_HW = draw_blobs(seed)
    confidence_HW = rng.integers(0, 256, labels_HW.shape).astype(np.uint8)
    depth_m_HW = rng.uniform(0.5, 40, labels_HW.shape).astype(np.float32)
    depth_m_HW[rng.uniform(size=labels_HW.shape) < 0.2] = np.nan
    scene = summarize(
        make_segmentation(labels_HW, confidence_HW),
        LABEL_SET,
        min_area_px=10,
        depth_m_HW=depth_m_HW,
        camera_matrix=(50.0, 60.0, 39.5, 29.5),
    )
    assert scene.unlabeled_fraction == pytest.approx(np.mean(labels_HW == UNLABELED))
    regions = flood(labels_HW)
    for scene_class in scene.classes:
        is_class = labels_HW == scene_class.class_id
        assert scene_class.class_name == f"class{scene_class.class_id}"
        assert scene_class.pixel_count == is_class.sum()
        assert scene_class.area_fraction == pytest.approx(is_class.mean())
        assert scene_class.mean_confidence == pytest.approx(confidence_HW[is_class].mean() / 255)
        wanted = [pixels for class_id, pixels in regions if class_id == scene_class.class_id]
        wanted = sorted((pixels for pixels in wanted if len(pixels) >= 10), key=len, reverse=True)
        assert [found.pixel_count for found in scene_class.objects] == [
            len(pixels) for pixels in wanted
        ]
        by_centroid = {tuple(np.mean(pixels, 0).round(6)): pixels for pixels in wanted}
        for found in scene_class.objects:
            x, y = found.centroid_xy
            pixels = by_centroid[round(y, 6), round(x, 6)]
            check_object(found, np.array(pixels), confidence_HW, depth_m_HW)


def check_object(
    found: SceneObject, pixels: np.ndarray, confidence_HW: np.ndarray, depth_m_HW: np.ndarray
) -> None:
    rows, columns = pixels.T
    height, width = depth_m_HW.shape
    assert found.track_id == 0
    assert found.pixel_count == len(pixels)
    assert found.box_xywh == (
        columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1,
    )  # fmt: skip
    assert found.touches_border == (
        rows.min() == 0 or columns.min() == 0
        or rows.max() == height - 1 or columns.max() == width - 1
    )  # fmt: skip
    assert found.mean_confidence == pytest.approx(confidence_HW[rows, columns].mean() / 255)
    assert found.depth_m == pytest.approx(np.nanmedian(depth_m_HW[rows, columns]))
    assert found.position_xyz == pytest.approx(
        (
            (columns.mean() - 39.5) / 50 * found.depth_m,
            (rows.mean() - 29.5) / 60 * found.depth_m,
            found.depth_m,
        )
    )


def test_classes_come_largest_first_and_absent_ones_not_at_all() -> None:
    labels_HW = np.full((20, 20), 3, np.uint8)
    labels_HW[:4] = 0
    scene = summarize(make_segmentation(labels_HW), LABEL_SET)
    assert [scene_class.class_id for scene_class in scene.classes] == [3, 0]
    assert (scene.width, scene.height) == (20, 20)
    assert scene.unlabeled_fraction == 0.0


def test_class_zero_has_objects_and_unlabeled_has_none() -> None:
    labels_HW = np.full((30, 40), UNLABELED, np.uint8)
    labels_HW[5:20, 5:20] = 0
    scene = summarize(make_segmentation(labels_HW), LABEL_SET)
    (only_class,) = scene.classes
    (found,) = only_class.objects
    assert (only_class.class_id, found.box_xywh, found.touches_border) == (0, (5, 5, 15, 15), False)
    assert scene.unlabeled_fraction == pytest.approx(1 - 225 / 1200)


def test_pixels_that_meet_at_a_corner_are_one_object() -> None:
    labels_HW = np.full((16, 16), UNLABELED, np.uint8)
    labels_HW[:8, :8] = 1
    labels_HW[8:, 8:] = 1
    scene = summarize(make_segmentation(labels_HW), LABEL_SET)
    assert [found.pixel_count for found in scene.classes[0].objects] == [128]


def make_row_of_squares() -> np.ndarray:
    """Draw five squares of class 2, of 1, 4, 9, 16 and 25 pixels, on class 0."""
    labels_HW = np.zeros((16, 60), np.uint8)
    for side in range(1, 6):
        labels_HW[2 : 2 + side, 10 * side : 11 * side] = 2
    return labels_HW


def list_sizes(scene: Scene, class_id: int) -> list[int]:
    return [
        found.pixel_count
        for scene_class in scene.classes
        if scene_class.class_id == class_id
        for found in scene_class.objects
    ]


def test_region_that_goes_on_from_one_row_to_the_next_is_measured_row_by_row() -> None:
    labels_HW = np.full((6, 8), 2, np.uint8)
    labels_HW[1:4] = 1
    confidence_HW = np.zeros((6, 8), np.uint8)
    confidence_HW[1:4] = 51
    confidence_HW[1, 0] = 255
    scene = summarize(make_segmentation(labels_HW, confidence_HW), LABEL_SET, min_area_px=1)
    band = next(scene_class for scene_class in scene.classes if scene_class.class_id == 1).objects[
        0
    ]
    assert (band.box_xywh, band.centroid_xy) == ((0, 1, 8, 3), (3.5, 2.0))
    assert band.pixel_count == 24
    assert band.mean_confidence == pytest.approx((23 * 51 + 255) / 24 / 255)


def test_small_regions_and_those_beyond_the_number_are_left_out() -> None:
    segmentation = make_segmentation(make_row_of_squares())
    assert list_sizes(summarize(segmentation, LABEL_SET, min_area_px=1), 2) == [25, 16, 9, 4, 1]
    assert list_sizes(summarize(segmentation, LABEL_SET, min_area_px=9), 2) == [25, 16, 9]
    two = summarize(segmentation, LABEL_SET, min_area_px=1, max_per_class=2)
    assert list_sizes(two, 2) == [25, 16]
    assert len(list_sizes(two, 0)) == 1
    none = summarize(segmentation, LABEL_SET, min_area_px=1, max_per_class=0)
    assert list_sizes(none, 2) == []
    assert [scene_class.pixel_count for scene_class in none.classes] == [905, 55]


def test_unknown_values_are_nan() -> None:
    scene = summarize(make_segmentation(make_row_of_squares()), LABEL_SET)
    found = scene.classes[0].objects[0]
    assert math.isnan(scene.classes[0].mean_confidence)
    assert math.isnan(found.mean_confidence)
    assert math.isnan(found.depth_m)
    assert all(math.isnan(value) for value in found.position_xyz)


def test_depth_ignores_what_is_unknown_and_needs_a_camera_for_a_position() -> None:
    labels_HW = np.zeros((20, 20), np.uint8)
    labels_HW[:, 10:] = 1
    depth_m_HW = np.full((20, 20), 7.0, np.float32)
    depth_m_HW[0] = (np.nan, np.inf, -np.inf, 0.0, -3.0) * 4
    depth_m_HW[:, 10:] = np.nan
    segmentation = make_segmentation(labels_HW)
    left, right = summarize(segmentation, LABEL_SET, depth_m_HW=depth_m_HW).classes
    assert left.objects[0].depth_m == 7.0
    assert math.isnan(right.objects[0].depth_m)
    assert math.isnan(left.objects[0].position_xyz[2])
    for matrix, is_known in (((10.0, 10.0, 4.5, 9.5), True), ((0.0, 0.0, 0.0, 0.0), False)):
        scene = summarize(segmentation, LABEL_SET, depth_m_HW=depth_m_HW, camera_matrix=matrix)
        position = scene.classes[0].objects[0].position_xyz
        assert (position == (0.0, 0.0, 7.0)) is is_known


def test_depth_of_another_size_is_stretched() -> None:
    labels_HW = np.zeros((40, 40), np.uint8)
    labels_HW[:, 20:] = 1
    depth_m_HW = np.full((10, 10), 2.0, np.float64)
    depth_m_HW[:, 5:] = 4.0
    scene = summarize(make_segmentation(labels_HW), LABEL_SET, depth_m_HW=depth_m_HW)
    depths = {scene_class.class_id: scene_class.objects[0].depth_m for scene_class in scene.classes}
    assert depths == {0: 2.0, 1: 4.0}


def test_more_than_255_classes_work_in_uint16() -> None:
    labels_HW = np.full((40, 40), 65535, np.uint16)
    labels_HW[:20] = 299
    labels_HW[30:] = 0
    scene = summarize(make_segmentation(labels_HW), make_label_set(300))
    assert [(scene_class.class_id, len(scene_class.objects)) for scene_class in scene.classes] == [
        (299, 1),
        (0, 1),
    ]
    assert scene.unlabeled_fraction == 0.25


def test_every_pixel_its_own_region_is_survived() -> None:
    rng = np.random.default_rng(0)
    labels_HW = rng.integers(0, 5, (300, 400)).astype(np.uint8)
    scene = summarize(make_segmentation(labels_HW), LABEL_SET, min_area_px=1, max_per_class=3)
    assert sum(scene_class.pixel_count for scene_class in scene.classes) == labels_HW.size
    assert all(len(scene_class.objects) == 3 for scene_class in scene.classes)


def test_everything_unlabeled_is_an_empty_scene() -> None:
    scene = summarize(make_segmentation(np.full((16, 16), UNLABELED, np.uint8)), LABEL_SET)
    assert scene == Scene(width=16, height=16, unlabeled_fraction=1.0, classes=())


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(4, 4, 3\)"):
        summarize(Segmentation(np.zeros((4, 4, 3), np.uint8), None, (4, 4)), LABEL_SET)
    with pytest.raises(InputError, match=r"\(2, 2, 2\)"):
        summarize(
            make_segmentation(np.zeros((16, 16), np.uint8)), LABEL_SET,
            depth_m_HW=np.zeros((2, 2, 2)),
        )  # fmt: skip
