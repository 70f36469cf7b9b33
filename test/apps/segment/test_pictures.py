"""Pictures beside each other, errors and attention, pixel by pixel."""

import io

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.apps.segment.outputs import SegmentedImage, encode_kind
from proxia_segmentation_ros.apps.segment.pictures import (
    CAPTION_HEIGHT,
    GAP,
    MAX_WIDTH,
    MIN_WIDTH,
    describe_share,
    draw_attention,
    draw_composite,
)
from proxia_segmentation_ros.apps.segment.truth import choose_label_set, make_source_ids
from proxia_segmentation_ros.labels import LabelClass, LabelSet, load_label_set
from proxia_segmentation_ros.render import WRONG_RGB

CAMVID = load_label_set("camvid")
SKY, ROAD, UNLABELED = 0, 3, 255


def make_scene(height: int = 240, width: int = 480) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image, its labels, and a truth that knows the left half and differs below."""
    image_HWC = np.full((height, width, 3), 100, np.uint8)
    labels_HW = np.full((height, width), ROAD, np.uint8)
    truth_HW = labels_HW.copy()
    truth_HW[height // 2 :] = SKY
    truth_HW[:, width // 2 :] = UNLABELED
    return image_HWC, labels_HW, truth_HW


def decode(content: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture


@pytest.mark.parametrize("size_hw", [(4000, 16), (2160, 399), (16, 4000)])
def test_narrow_image_is_not_enlarged_beyond_all_bounds(size_hw: tuple[int, int]) -> None:
    image_HWC, labels_HW, truth_HW = make_scene(*size_hw)
    picture_HWC = draw_composite(image_HWC, labels_HW, CAMVID, alpha=0.5, truth_HW=truth_HW)
    assert picture_HWC.shape[0] < 2 * size_hw[0] + 400
    assert picture_HWC.shape[1] < 2 * MAX_WIDTH + 4 * GAP
    map_HWC = draw_attention(np.zeros(size_hw, np.float32), 0.5, [1.0])
    assert map_HWC.shape[0] < size_hw[0] + 100


def test_composite_shows_image_prediction_truth_and_errors() -> None:
    image_HWC, labels_HW, truth_HW = make_scene()
    picture_HWC = draw_composite(image_HWC, labels_HW, CAMVID, alpha=1.0, truth_HW=truth_HW)
    left, right = GAP, 2 * GAP + 480
    upper, lower = CAPTION_HEIGHT, 2 * CAPTION_HEIGHT + 240 + GAP
    road, sky = CAMVID.palette[ROAD].tolist(), CAMVID.palette[SKY].tolist()
    assert picture_HWC[upper + 5, left + 5].tolist() == [100, 100, 100]
    assert picture_HWC[upper + 5, right + 5].tolist() == road
    assert picture_HWC[lower + 5, left + 5].tolist() == road
    assert picture_HWC[lower + 235, left + 5].tolist() == sky
    assert picture_HWC[lower + 235, left + 475].tolist() == [100, 100, 100]
    assert tuple(picture_HWC[lower + 235, right + 5]) == WRONG_RGB
    legend_HWC = picture_HWC[lower + 240 + GAP :]
    # Smooth lettering holds some grey pixels, a swatch more.
    counts = {
        label_class.id: (legend_HWC == label_class.rgb).all(2).sum()
        for label_class in CAMVID.classes
    }
    shown = {class_id for class_id, count in counts.items() if count > 100}
    assert shown == {SKY, ROAD}


@pytest.mark.parametrize(
    ("size_hw", "panel"), [((24, 32), MIN_WIDTH), ((240, 480), 480), ((512, 2048), MAX_WIDTH)]
)
def test_composite_without_truth_has_two_legible_panels(
    size_hw: tuple[int, int], panel: int
) -> None:
    image_HWC, labels_HW, _ = make_scene(*size_hw)
    picture_HWC = draw_composite(image_HWC, labels_HW, CAMVID, alpha=0.5)
    assert picture_HWC.shape[1] == 2 * panel + 3 * GAP
    assert picture_HWC.shape[0] < panel * size_hw[0] / size_hw[1] + 100


def test_composite_of_nothing_known_is_a_picture() -> None:
    image_HWC, labels_HW, _ = make_scene()
    nothing_HW = np.full_like(labels_HW, UNLABELED)
    picture_HWC = draw_composite(image_HWC, nothing_HW, CAMVID, alpha=0.5, truth_HW=nothing_HW)
    assert picture_HWC.shape[0] > 2 * 240
    assert describe_share(nothing_HW == 0, nothing_HW == 0) == "-"


def test_attention_goes_from_dark_to_bright() -> None:
    weight_HW = np.zeros((300, 480), np.float32)
    weight_HW[:, 240:] = 1
    picture_HWC = draw_attention(weight_HW, 0.5, [1.0, 2.0])
    map_HWC = picture_HWC[-300:]
    assert picture_HWC.shape[1] == 480
    assert map_HWC[0, 0].sum() < 200 < 400 < map_HWC[0, 479].sum()


def test_pair_of_the_largest_scale_has_no_picture() -> None:
    image_HWC, labels_HW, _ = make_scene()
    maps = {scale: np.full(labels_HW.shape, 0.5, np.float32) for scale in (2.0, 0.5, 1.0)}
    segmented = SegmentedImage(
        image_HWC=image_HWC, labels_HW=labels_HW, label_set=CAMVID, attention_HW=maps
    )
    assert len(encode_kind("attention", segmented)) == 2


def test_probabilities_keep_their_value_in_every_form() -> None:
    image_HWC, labels_HW, _ = make_scene(16, 24)
    raw_KHW = np.random.default_rng(3).random((11, 16, 24)).astype(np.float32) ** 4
    probabilities_KHW = raw_KHW / raw_KHW.sum(0)
    segmented = SegmentedImage(
        image_HWC=image_HWC,
        labels_HW=labels_HW,
        label_set=CAMVID,
        probabilities_KHW=probabilities_KHW,
    )
    deep_HW = decode(encode_kind("confidence16", segmented)[0])
    assert deep_HW.dtype == np.uint16
    np.testing.assert_allclose(deep_HW / 65535, probabilities_KHW.max(0), atol=1e-5)
    stored = np.load(io.BytesIO(encode_kind("probabilities", segmented)[0]))
    np.testing.assert_allclose(stored["probabilities_KHW"], probabilities_KHW, atol=5e-4)
    assert stored["class_names"].tolist() == list(CAMVID.names)


def test_source_ids_come_from_the_shipped_set_of_the_same_classes() -> None:
    card_set = LabelSet.from_dict(load_label_set("cityscapes").to_dict())
    table = make_source_ids(choose_label_set(card_set, ""))
    assert table[:3].tolist() == [7, 8, 11]
    assert (table[18], table[255], table.dtype) == (33, 0, np.uint8)


def test_classes_of_ones_own_are_their_own_source_ids() -> None:
    classes = tuple(LabelClass(id=index, name=f"c{index}", rgb=(1, 2, 3)) for index in range(2))
    own = LabelSet(name="cityscapes", classes=classes)
    assert choose_label_set(own, "") is own
    assert make_source_ids(own)[:2].tolist() == [0, 1]
    many = LabelSet(
        name="many", classes=(LabelClass(id=0, name="c", rgb=(1, 2, 3), source_ids=(900, 7)),)
    )
    assert make_source_ids(many)[0] == 900
