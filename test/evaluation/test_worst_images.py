"""Which images are kept as the worst, whoever labelled them, and what their pictures show."""

import itertools
import json
import pickle

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.evaluation.observer import EvaluatedImage
from proxia_segmentation_ros.evaluation.worst_images import SIDE, WorstImages, draw_pictures
from proxia_segmentation_ros.labels import LabelClass, LabelSet, load_label_set
from proxia_segmentation_ros.render import IGNORED_RGB, WRONG_RGB

CAMVID = load_label_set("camvid")
SKY, ROAD, CAR, NO_CLASS = 0, 3, 8, 255


def make_image(share_wrong: float, height: int = 20, width: int = 30):
    """Return picture, truth and labels of a road that is partly taken for sky."""
    truth_HW = np.full((height, width), ROAD, np.uint8)
    labels_HW = truth_HW.copy()
    labels_HW[:, : round(width * share_wrong)] = SKY
    return np.full((height, width, 3), 128, np.uint8), truth_HW, labels_HW


def keep(shares: dict[int, float], most: int = 3) -> WorstImages:
    worst = WorstImages(CAMVID, most)
    for index, share in shares.items():
        worst.add(EvaluatedImage(index, f"{index}.png", *make_image(share)))
    return worst


def decode(content: bytes) -> np.ndarray:
    bgr_HWC = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert bgr_HWC is not None
    return cv2.cvtColor(bgr_HWC, cv2.COLOR_BGR2RGB)


def test_worst_images_are_kept_worst_first() -> None:
    kept = keep({0: 0.1, 1: 0.5, 2: 0.0, 3: 0.9, 4: 0.3}).kept
    assert [image.index for image in kept] == [3, 1, 4]
    assert [image.name for image in kept] == ["3.png", "1.png", "4.png"]
    assert kept[0].mean_iou == pytest.approx(0.1)
    assert kept[0].pixel_accuracy == pytest.approx(0.1)


def test_earlier_image_goes_first_where_scores_are_equal() -> None:
    shares = dict.fromkeys(range(5), 0.5)
    for order in itertools.islice(itertools.permutations(range(5)), 0, None, 7):
        kept = keep({index: shares[index] for index in order}).kept
        assert [image.index for image in kept] == [0, 1, 2]


def test_split_over_processes_keeps_the_same_images() -> None:
    shares = {index: (index * 7 % 11) / 11 for index in range(10)}
    alone = keep(shares)
    first = keep({index: share for index, share in shares.items() if index % 2})
    second = keep({index: share for index, share in shares.items() if not index % 2})
    first.merge(pickle.loads(pickle.dumps(second.export())))
    assert first.kept == alone.kept


def test_images_without_truth_are_never_among_the_worst() -> None:
    worst = WorstImages(CAMVID, 3)
    image_HWC, _, labels_HW = make_image(0.5)
    truth_HW = np.full_like(labels_HW, NO_CLASS)
    worst.add(EvaluatedImage(0, "none.png", image_HWC, truth_HW, labels_HW))
    assert worst.kept == ()


def test_none_are_kept_where_none_are_wanted() -> None:
    assert keep({0: 0.5}, most=0).kept == ()


def test_stray_pixels_of_a_class_that_is_not_there_count_little() -> None:
    worst = WorstImages(CAMVID, 1)
    image_HWC, truth_HW, labels_HW = make_image(0.0)
    labels_HW[0, 0] = CAR
    worst.add(EvaluatedImage(0, "stray.png", image_HWC, truth_HW, labels_HW))
    assert worst.kept[0].mean_iou > 0.99


def test_pictures_show_colours_of_classes_and_errors_in_red() -> None:
    image_HWC, truth_HW, labels_HW = make_image(0.5)
    truth_HW[:, -10:] = NO_CLASS
    image, truth, prediction, errors = map(
        decode, draw_pictures(image_HWC, truth_HW, labels_HW, CAMVID)
    )
    road, sky = CAMVID.palette[ROAD].tolist(), CAMVID.palette[SKY].tolist()
    assert image.shape == truth.shape == prediction.shape == errors.shape == (20, 30, 3)
    assert np.abs(image.astype(int) - 128).max() < 4
    assert truth[10, 0].tolist() == road
    assert truth[10, 29].tolist() == [0, 0, 0]
    assert (prediction[10, 0].tolist(), prediction[10, 29].tolist()) == (sky, road)
    assert np.abs(errors[10, 3].astype(int) - WRONG_RGB).max() < 30
    assert np.abs(errors[10, 27].astype(int) - IGNORED_RGB).max() < 30


@pytest.mark.parametrize("size_hw", [(2000, 100), (700, 1400), (480, 480), (3000, 2)])
def test_pictures_are_bounded_in_both_directions(size_hw: tuple[int, int]) -> None:
    image_HWC = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    labels_HW = np.zeros(size_hw, np.uint8)
    pictures = draw_pictures(image_HWC, labels_HW, labels_HW, CAMVID)
    assert {max(decode(picture).shape) for picture in pictures} == {SIDE}
    assert sum(map(len, pictures)) < 400_000


def test_classes_beyond_255_keep_their_colours() -> None:
    many = LabelSet(
        name="many",
        classes=tuple(
            LabelClass(id=index, name=f"c{index}", rgb=(index % 256, index // 256, 7))
            for index in range(300)
        ),
    )
    labels_HW = np.full((16, 16), 299, np.uint16)
    _, truth, _, _ = draw_pictures(np.zeros((16, 16, 3), np.uint8), labels_HW, labels_HW, many)
    assert decode(truth)[0, 0].tolist() == list(many.classes[299].rgb)


def test_dict_names_the_images_without_their_pictures() -> None:
    raw = json.loads(json.dumps(keep({0: 0.1, 1: 0.5}, most=1).to_dict(CAMVID.names)))
    assert [row["name"] for row in raw["worst_images"]] == ["1.png"]
    assert raw["worst_images"][0]["pixel_accuracy"] == pytest.approx(0.5)
