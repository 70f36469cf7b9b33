"""A contact sheet of augmented training pairs with their labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from proxia_segmentation_ros.apps.output_file import write_output
from proxia_segmentation_ros.data.dataset import Pair
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.render import draw_legend, draw_overlay

if TYPE_CHECKING:
    from proxia_segmentation_ros.training.settings import Recipe

PAIRS, COLUMNS = 12, 4
IMAGES_SEARCHED = 32
CELL_WIDTH, GAP = 320, 8
PAPER_RGB = (250, 250, 250)
LABELS_ALPHA = 0.6


def write_preview(recipe: "Recipe", path: Path) -> int:
    """Draw the first pairs of a run to a PNG file; return their number.

    Raises:
        ConfigError: the recipe does not fit its data.
        InputError: training data can't be read, or the file can't be written.
    """
    from proxia_segmentation_ros.data.sampling.mixture import PairMixture
    from proxia_segmentation_ros.labels import load_label_set
    from proxia_segmentation_ros.training.sources import make_sources

    label_set = load_label_set(recipe.data.label_set)
    data = recipe.data
    if data.class_uniform is not None:
        # Finding the centroids of a whole data set would take minutes.
        data = data.model_copy(update={"train_limit": data.train_limit or IMAGES_SEARCHED})
    pairs = PairMixture(
        make_sources(data, label_set, seed=recipe.seed),
        recipe.augmentation,
        seed=recipe.seed,
        unlabeled_id=label_set.unlabeled_id,
    )
    sheet_HWC = draw_sheet([pairs[index] for index in range(PAIRS)], label_set)
    content = cv2.imencode(".png", cv2.cvtColor(sheet_HWC, cv2.COLOR_RGB2BGR))[1]
    write_output(path, content.tobytes(), "choose another --preview")
    return PAIRS


def draw_sheet(pairs: Sequence[Pair], label_set: LabelSet) -> np.ndarray:
    """Return rgb_HWC: each crop above its overlay of class colours, and a legend below.

    Pixels without a class show only the image.
    """
    cells = [_draw_cell(image_HWC, labels_HW, label_set) for image_HWC, labels_HW in pairs]
    blank_HWC = np.full_like(cells[0], PAPER_RGB)
    cells += [blank_HWC] * (-len(cells) % COLUMNS)
    rows = [
        np.concatenate(cells[start : start + COLUMNS], 1) for start in range(0, len(cells), COLUMNS)
    ]
    grid_HWC = np.concatenate(rows)
    ids = set(np.unique(np.concatenate([labels_HW.ravel() for _, labels_HW in pairs])).tolist())
    legend_HWC = draw_legend(label_set, width=grid_HWC.shape[1], only=ids)
    return np.concatenate([grid_HWC, legend_HWC])


def _draw_cell(image_HWC: np.ndarray, labels_HW: np.ndarray, label_set: LabelSet) -> np.ndarray:
    height, width = labels_HW.shape
    size_wh = (CELL_WIDTH, max(1, round(height * CELL_WIDTH / width)))
    image_HWC = cv2.resize(image_HWC, size_wh, interpolation=cv2.INTER_AREA)
    labels_HW = cv2.resize(labels_HW, size_wh, interpolation=cv2.INTER_NEAREST_EXACT)
    overlay_HWC = draw_overlay(image_HWC, labels_HW, label_set, alpha=LABELS_ALPHA)
    pair_HWC = np.concatenate([image_HWC, overlay_HWC])
    return cv2.copyMakeBorder(pair_HWC, GAP, GAP, GAP, GAP, cv2.BORDER_CONSTANT, value=[*PAPER_RGB])
