"""Pictures of class ids."""

import numpy as np
import pytest

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import LabelClass, LabelSet, load_label_set
from proxia_segmentation_ros.render import (
    IGNORED_RGB,
    WRONG_RGB,
    colorize,
    draw_errors,
    draw_legend,
    draw_overlay,
)

CAMVID = load_label_set("camvid")
SKY, ROAD, CAR, UNLABELED = 0, 3, 8, 255


def make_labels(height: int = 60, width: int = 80) -> np.ndarray:
    """Sky above, road below, a column of unlabeled pixels at the right."""
    labels_HW = np.full((height, width), SKY, np.uint8)
    labels_HW[height // 2 :] = ROAD
    labels_HW[:, -10:] = UNLABELED
    return labels_HW


def make_many_classes() -> LabelSet:
    return LabelSet(
        name="many",
        classes=tuple(
            LabelClass(id=index, name=f"c{index}", rgb=(index % 256, index // 256, 7))
            for index in range(300)
        ),
    )


def test_each_class_has_its_colour_and_unlabeled_is_black() -> None:
    colours_HWC = colorize(make_labels(), CAMVID)
    assert colours_HWC.dtype == np.uint8
    assert colours_HWC[0, 0].tolist() == [70, 130, 180]
    assert colours_HWC[-1, 0].tolist() == [128, 64, 128]
    assert colours_HWC[0, -1].tolist() == [0, 0, 0]


def test_more_than_255_classes_have_their_colours() -> None:
    labels_HW = np.array([[0, 299], [256, 65535]], np.uint16)
    colours_HWC = colorize(labels_HW, make_many_classes())
    assert colours_HWC.tolist() == [[[0, 0, 7], [43, 1, 7]], [[0, 1, 7], [0, 0, 0]]]


@pytest.mark.parametrize(
    "labels_HW",
    [np.zeros((4, 4), np.uint16), np.zeros((4, 4), np.int64), np.zeros((4, 4, 1), np.uint8)],
)
def test_ids_of_another_type_are_refused(labels_HW: np.ndarray) -> None:
    with pytest.raises(InputError, match="uint8 for the 11 classes of 'camvid'"):
        colorize(labels_HW, CAMVID)


def test_overlay_blends_classes_and_leaves_unlabeled_pixels_alone() -> None:
    image_HWC = np.full((60, 80, 3), 100, np.uint8)
    overlay_HWC = draw_overlay(image_HWC, make_labels(), CAMVID, alpha=0.25)
    wanted = 0.75 * 100 + 0.25 * np.array([70, 130, 180])
    assert np.abs(overlay_HWC[5, 5] - wanted).max() <= 1
    assert (overlay_HWC[:, -10:] == 100).all()
    assert (image_HWC == 100).all()


@pytest.mark.parametrize(("alpha", "wanted"), [(0.0, [100, 100, 100]), (1.0, [70, 130, 180])])
def test_alpha_goes_from_image_to_colours(alpha: float, wanted: list[int]) -> None:
    image_HWC = np.full((60, 80, 3), 100, np.uint8)
    assert draw_overlay(image_HWC, make_labels(), CAMVID, alpha=alpha)[5, 5].tolist() == wanted


def test_overlay_is_no_wider_than_asked_and_never_enlarged() -> None:
    image_HWC = np.zeros((120, 160, 3), np.uint8)
    assert draw_overlay(image_HWC, make_labels(), CAMVID, alpha=0.5, max_width=80).shape == (
        60,
        80,
        3,
    )
    assert draw_overlay(image_HWC, make_labels(), CAMVID, alpha=0.5, max_width=960).shape == (
        120,
        160,
        3,
    )
    assert draw_overlay(image_HWC, make_labels(), CAMVID, alpha=0.5).shape == (120, 160, 3)


def test_labels_of_another_size_are_resized_without_new_colours() -> None:
    image_HWC = np.zeros((97, 131, 3), np.uint8)
    overlay_HWC = draw_overlay(image_HWC, make_labels(), CAMVID, alpha=1.0)
    colours = {tuple(colour) for colour in np.unique(overlay_HWC.reshape(-1, 3), axis=0).tolist()}
    assert colours == {(70, 130, 180), (128, 64, 128), (0, 0, 0)}


def test_box_is_drawn_in_its_classes_colour_at_the_images_scale() -> None:
    image_HWC = np.zeros((120, 160, 3), np.uint8)
    labels_HW = np.full((60, 80), UNLABELED, np.uint8)
    overlay_HWC = draw_overlay(
        image_HWC, labels_HW, CAMVID, alpha=0.5, boxes=[(10, 25, 20, 15, CAR)]
    )
    blue = list(CAMVID.classes[CAR].rgb)
    left, top, right, bottom = 20, 50, 59, 79
    for row, column in ((bottom, left), (bottom, right), (top, right), (65, left), (bottom, 40)):
        assert overlay_HWC[row, column].tolist() == blue
    assert (overlay_HWC[65, 30:50] == 0).all()
    assert (overlay_HWC[bottom + 2 :] == 0).all()


@pytest.mark.parametrize(
    "box", [(0, 0, 80, 60, CAR), (75, 0, 5, 5, 10), (0, 58, 2, 2, 9), (79, 59, 1, 1, 0)]
)
def test_name_of_a_box_at_the_border_stays_inside(box: tuple[int, int, int, int, int]) -> None:
    image_HWC = np.zeros((360, 480, 3), np.uint8)
    labels_HW = np.full((60, 80), UNLABELED, np.uint8)
    overlay_HWC = draw_overlay(image_HWC, labels_HW, CAMVID, alpha=0.5, boxes=[box])
    ink_or_plate = (overlay_HWC != 0).any(2)
    # A plate that was cut off would leave less of itself than a line of text needs.
    assert ink_or_plate.sum() > 150


@pytest.mark.parametrize("width", [960, 300, 60, 1])
def test_legend_has_its_width_and_every_colour(width: int) -> None:
    legend_HWC = draw_legend(CAMVID, width=width)
    assert legend_HWC.shape[1] == width
    if width >= 60:
        colours = {tuple(colour) for colour in legend_HWC.reshape(-1, 3).tolist()}
        assert {label_class.rgb for label_class in CAMVID.classes} <= colours


def test_legend_of_some_classes_names_no_others() -> None:
    everything = draw_legend(CAMVID, width=300)
    some = draw_legend(CAMVID, width=300, only=[CAR])
    assert some.shape[0] < everything.shape[0]
    assert (some == CAMVID.classes[CAR].rgb).all(2).sum() > 100
    assert not (some == CAMVID.classes[SKY].rgb).all(2).any()
    assert draw_legend(CAMVID, width=300, only=[]).shape == (0, 300, 3)


def test_errors_are_red_and_unknown_pixels_grey() -> None:
    image_HWC = np.full((60, 80, 3), 200, np.uint8)
    truth_HW, labels_HW = make_labels(), np.full((60, 80), SKY, np.uint8)
    is_known = truth_HW != UNLABELED
    picture_HWC = draw_errors(image_HWC, is_known & (labels_HW != truth_HW), is_known)
    assert tuple(picture_HWC[50, 10]) == WRONG_RGB
    assert tuple(picture_HWC[50, 75]) == IGNORED_RGB
    assert picture_HWC[10, 10].max() < min(IGNORED_RGB)
