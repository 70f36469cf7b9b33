"""Pictures of results: image, prediction and ground truth side by side, and attention.

Shape legend: H rows, W columns, C colour channels (RGB).
"""

from collections.abc import Sequence

import cv2
import numpy as np

from proxia_segmentation_ros.apps.segment.truth import find_wrong
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.render import Box, draw_errors, draw_legend, draw_overlay

PAPER_RGB, INK_RGB = (250, 250, 250), (40, 40, 40)
FONT, FONT_SCALE = cv2.FONT_HERSHEY_DUPLEX, 0.5
GAP, CAPTION_HEIGHT = 10, 26
# Panels are resized to a width in this range, so that captions fit and files stay small.
MIN_WIDTH, MAX_WIDTH = 400, 960
# The height limit for enlarging: otherwise an image of 16x20000 would need too much memory.
MAX_ENLARGED_HEIGHT = 2160
COLOUR_MAP = cv2.COLORMAP_VIRIDIS
BAR_WIDTH, BAR_HEIGHT = 120, 12

Panel = tuple[str, np.ndarray]


def draw_composite(
    image_HWC: np.ndarray,
    labels_HW: np.ndarray,
    label_set: LabelSet,
    *,
    alpha: float,
    boxes: Sequence[Box] = (),
    truth_HW: np.ndarray | None = None,
) -> np.ndarray:
    """Return image and prediction side by side, with ground truth and errors below if given.

    The legend lists the classes in the picture.
    """
    size_wh = _choose_size(image_HWC)
    overlay_HWC = draw_overlay(image_HWC, labels_HW, label_set, alpha=alpha, boxes=boxes)
    panels = [("image", image_HWC), ("prediction", overlay_HWC)]
    shown = {*np.unique(labels_HW).tolist()}
    if truth_HW is not None:
        shown |= {*np.unique(truth_HW).tolist()}
        is_known = truth_HW != label_set.unlabeled_id
        is_wrong = find_wrong(labels_HW, truth_HW, label_set.unlabeled_id)
        share = describe_share(is_wrong, is_known)
        panels += [
            ("truth", draw_overlay(image_HWC, truth_HW, label_set, alpha=alpha)),
            (f"errors {share}   grey: no truth", draw_errors(image_HWC, is_wrong, is_known)),
        ]
    rows = [
        _draw_row([(text, _fit(panel, size_wh)) for text, panel in panels[start : start + 2]])
        for start in range(0, len(panels), 2)
    ]
    return np.concatenate([*rows, _draw_foot(label_set, shown, rows[0].shape[1])])


def draw_attention(weight_HW: np.ndarray, low: float, rivals: Sequence[float]) -> np.ndarray:
    """Return attention weights of 0 to 1 as colours, with a colour bar for the two scales."""
    against = "-".join(f"{scale:g}x" for scale in dict.fromkeys((rivals[0], rivals[-1])))
    pixels_HW = (weight_HW * 255).round().astype(np.uint8)
    map_bgr_HWC = cv2.applyColorMap(pixels_HW, COLOUR_MAP)
    picture_HWC = cv2.cvtColor(map_bgr_HWC, cv2.COLOR_BGR2RGB)
    picture_HWC = _fit(picture_HWC, _choose_size(picture_HWC))
    width = picture_HWC.shape[1]
    head_HWC = _make_paper(CAPTION_HEIGHT + GAP, width)
    ramp_HW = np.tile(np.linspace(0, 255, BAR_WIDTH).astype(np.uint8), (BAR_HEIGHT, 1))
    ramp_bgr_HWC = cv2.applyColorMap(ramp_HW, COLOUR_MAP)
    texts = (against, f"{low:g}x   mean {weight_HW.mean():.2f}")
    _write(head_HWC, texts[0], (GAP, CAPTION_HEIGHT - 4))
    left = 2 * GAP + cv2.getTextSize(texts[0], FONT, FONT_SCALE, 1)[0][0]
    top = (head_HWC.shape[0] - BAR_HEIGHT) // 2
    bar_HWC = head_HWC[top : top + BAR_HEIGHT, left : left + BAR_WIDTH]
    bar_HWC[:] = cv2.cvtColor(ramp_bgr_HWC, cv2.COLOR_BGR2RGB)[:, : bar_HWC.shape[1]]
    _write(head_HWC, texts[1], (left + BAR_WIDTH + GAP, CAPTION_HEIGHT - 4))
    return np.concatenate([head_HWC, picture_HWC])


def describe_share(is_part: np.ndarray, is_whole: np.ndarray) -> str:
    """Return a share such as `12.3 %`, or a dash if the whole is empty."""
    whole = int(is_whole.sum())
    return f"{100 * int(is_part.sum()) / whole:.1f} %" if whole else "-"


def _draw_row(panels: Sequence[Panel]) -> np.ndarray:
    height, width = panels[0][1].shape[:2]
    row_HWC = _make_paper(CAPTION_HEIGHT + height + GAP, (width + GAP) * len(panels) + GAP)
    for index, (text, picture_HWC) in enumerate(panels):
        left = GAP + index * (width + GAP)
        _write(row_HWC, text, (left, CAPTION_HEIGHT - 8))
        row_HWC[CAPTION_HEIGHT : CAPTION_HEIGHT + height, left : left + width] = picture_HWC
    return row_HWC


def _draw_foot(label_set: LabelSet, shown: set[int], width: int) -> np.ndarray:
    legend_HWC = draw_legend(label_set, width=width - 2 * GAP, only=shown)
    foot_HWC = _make_paper(legend_HWC.shape[0] + GAP, width)
    foot_HWC[: legend_HWC.shape[0], GAP : GAP + legend_HWC.shape[1]] = legend_HWC
    return foot_HWC


def _choose_size(image_HWC: np.ndarray) -> tuple[int, int]:
    """Return (width, height) of a panel."""
    height, width = image_HWC.shape[:2]
    gain = min(max(width, MIN_WIDTH), MAX_WIDTH) / width
    gain = min(gain, max(1.0, MAX_ENLARGED_HEIGHT / height))
    return round(width * gain), max(1, round(height * gain))


def _fit(picture_HWC: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    width = picture_HWC.shape[1]
    method = cv2.INTER_AREA if size_wh[0] < width else cv2.INTER_LINEAR
    return cv2.resize(picture_HWC, size_wh, interpolation=method)


def _make_paper(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), PAPER_RGB, np.uint8)


def _write(paper_HWC: np.ndarray, text: str, place: tuple[int, int]) -> None:
    cv2.putText(paper_HWC, text, place, FONT, FONT_SCALE, INK_RGB, 1, cv2.LINE_AA)
