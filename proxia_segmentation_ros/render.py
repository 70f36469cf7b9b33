"""Draw class ids: colour mask, overlay with boxes, errors, legend. All images are RGB.

Shape legend: H rows, W columns, C colour channels.
"""

from collections.abc import Collection, Iterable, Sequence

import cv2
import numpy as np

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import LabelSet

FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE = (255, 255, 255)
BLACK = (0, 0, 0)
# Rec. 601 luma; above half, black text reads better than white.
LUMA = (0.299, 0.587, 0.114)
LUMA_MIDDLE = 128
# Font sizes are for pictures of this height; larger pictures scale them.
REFERENCE_HEIGHT = 360
FONT_SCALE = 0.36
TEXT_MARGIN = 2
LEGEND_ROW = 22
LEGEND_FONT_SCALE = 0.42
LEGEND_BACKGROUND = (24, 24, 24)
WRONG_RGB, IGNORED_RGB = (255, 64, 48), (150, 150, 150)
DIMMED = 0.35

# Classes of the shipped label sets without countable objects ("stuff", not "things", in the words
# of panoptic segmentation: Kirillov et al. 2019, arXiv 1801.00868): a box around them is no help.
STUFF_CLASSES = frozenset(
    "sky building road pavement sidewalk tree vegetation terrain wall fence".split()
)
MIN_BOX_SHARE = 0.001

Box = tuple[int, int, int, int, int]


def select_boxes(boxes: Iterable[Box], label_set: LabelSet, image_pixels: int) -> list[Box]:
    """Return the boxes of countable objects that cover at least a thousandth of the image."""
    return [
        box
        for box in boxes
        if label_set.names[box[4]] not in STUFF_CLASSES
        and box[2] * box[3] >= MIN_BOX_SHARE * image_pixels
    ]


def colorize(labels_HW: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """Return rgb_HWC of the class colours; unlabeled pixels are black.

    Raises:
        InputError: the ids are not (H, W) of the label set's pixel type.
    """
    _check_labels(labels_HW, label_set)
    colours_HWC: np.ndarray
    if labels_HW.dtype == np.uint8:
        table = label_set.palette[None]
        colours_HWC = cv2.LUT(cv2.merge([labels_HW, labels_HW, labels_HW]), table)
    else:
        colours_HWC = label_set.palette[labels_HW]
    return colours_HWC


def draw_overlay(
    image_HWC: np.ndarray,
    labels_HW: np.ndarray,
    label_set: LabelSet,
    *,
    alpha: float,
    boxes: Sequence[Box] = (),
    max_width: int | None = None,
) -> np.ndarray:
    """Return the image blended with class colours of weight `alpha`, with boxes on top.

    Boxes are (x, y, width, height, class id) in pixels of the label image. The picture has
    the image's size, or `max_width` columns if that is less; ids are resized by nearest
    neighbour. Unlabeled pixels show the original image.

    Raises:
        InputError: the ids are not (H, W) of the label set's pixel type.
    """
    _check_labels(labels_HW, label_set)
    height, width = image_HWC.shape[:2]
    if max_width and width > max_width:
        height, width = max(1, round(height * max_width / width)), max_width
        image_HWC = cv2.resize(image_HWC, (width, height), interpolation=cv2.INTER_AREA)
    rows, columns = labels_HW.shape
    if (rows, columns) != (height, width):
        labels_HW = cv2.resize(labels_HW, (width, height), interpolation=cv2.INTER_NEAREST)
    blend_HWC = cv2.addWeighted(image_HWC, 1 - alpha, colorize(labels_HW, label_set), alpha, 0.0)
    is_unlabeled = labels_HW == label_set.unlabeled_id
    cv2.copyTo(image_HWC, is_unlabeled.view(np.uint8), blend_HWC)
    zoom = max(1.0, height / REFERENCE_HEIGHT)
    # Small boxes last, so that large ones do not hide their names.
    for box in sorted(boxes, key=lambda box: -box[2] * box[3]):
        _draw_box(blend_HWC, box, label_set, (width / columns, height / rows), zoom)
    return blend_HWC


def draw_errors(
    image_HWC: np.ndarray, is_wrong_HW: np.ndarray, is_known_HW: np.ndarray
) -> np.ndarray:
    """Return the image dimmed and grey; wrong pixels are red, pixels without ground truth grey."""
    grey_HW = cv2.cvtColor(image_HWC, cv2.COLOR_RGB2GRAY)
    picture_HWC = cv2.cvtColor((grey_HW * DIMMED).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    picture_HWC[~is_known_HW] = IGNORED_RGB
    picture_HWC[is_wrong_HW] = WRONG_RGB
    return picture_HWC


def draw_legend(
    label_set: LabelSet, *, width: int, only: Collection[int] | None = None
) -> np.ndarray:
    """Return rgb_HWC, `width` columns wide, with swatches and names of all classes or of `only`."""
    shown = [
        label_class for label_class in label_set.classes if only is None or label_class.id in only
    ]
    text_widths = [
        cv2.getTextSize(label_class.name, FONT, LEGEND_FONT_SCALE, 1)[0][0] for label_class in shown
    ]
    entry = min(max(text_widths, default=0) + 2 * LEGEND_ROW, max(width, 1))
    columns = max(1, width // entry)
    rows = -(-len(shown) // columns)
    picture_HWC = np.full((rows * LEGEND_ROW, width, 3), LEGEND_BACKGROUND, np.uint8)
    for index, label_class in enumerate(shown):
        row, column = divmod(index, columns)
        left, top = column * entry + 4, row * LEGEND_ROW + 4
        corner = (left + LEGEND_ROW - 8, top + LEGEND_ROW - 9)
        cv2.rectangle(picture_HWC, (left, top), corner, label_class.rgb, cv2.FILLED)
        cv2.rectangle(picture_HWC, (left, top), corner, WHITE, 1)
        place = (left + LEGEND_ROW - 2, top + LEGEND_ROW - 10)
        cv2.putText(
            picture_HWC, label_class.name, place, FONT, LEGEND_FONT_SCALE, WHITE, 1, cv2.LINE_AA
        )
    return picture_HWC


def _draw_box(
    picture_HWC: np.ndarray,
    box: Box,
    label_set: LabelSet,
    scale_xy: tuple[float, float],
    zoom: float,
) -> None:
    """Draw a box in the colour of its class, with the class's name above or inside it."""
    x, y, box_width, box_height, class_id = box
    left, top = round(x * scale_xy[0]), round(y * scale_xy[1])
    right = round((x + box_width) * scale_xy[0]) - 1
    bottom = round((y + box_height) * scale_xy[1]) - 1
    label_class = label_set.classes[class_id]
    line = max(1, round(zoom))
    cv2.rectangle(picture_HWC, (left, top), (right, bottom), label_class.rgb, line)
    size = FONT_SCALE * zoom
    (text_width, text_height), below = cv2.getTextSize(label_class.name, FONT, size, line)
    plate_height = text_height + below + TEXT_MARGIN
    # Above the box, or inside its upper edge if there is no room.
    plate_top = top - plate_height if top >= plate_height else top
    plate_left = max(0, min(left, picture_HWC.shape[1] - text_width - 2 * TEXT_MARGIN))
    plate_end = (plate_left + text_width + 2 * TEXT_MARGIN, plate_top + plate_height)
    cv2.rectangle(picture_HWC, (plate_left, plate_top), plate_end, label_class.rgb, cv2.FILLED)
    luma = sum(part * weight for part, weight in zip(label_class.rgb, LUMA, strict=True))
    ink = BLACK if luma > LUMA_MIDDLE else WHITE
    place = (plate_left + TEXT_MARGIN, plate_top + text_height + TEXT_MARGIN)
    cv2.putText(picture_HWC, label_class.name, place, FONT, size, ink, line, cv2.LINE_AA)


def _check_labels(labels_HW: np.ndarray, label_set: LabelSet) -> None:
    if labels_HW.ndim != 2 or labels_HW.dtype != label_set.label_dtype:
        raise InputError.from_parts(
            f"the label image is {labels_HW.dtype} of shape {labels_HW.shape}",
            f"(H, W) of {np.dtype(label_set.label_dtype).name} "
            f"for the {len(label_set)} classes of {label_set.name!r}",
            "pass Segmentation.labels",
        )
