"""The sheet of training pairs."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.apps.training_preview import (
    CELL_WIDTH,
    COLUMNS,
    GAP,
    PAIRS,
    draw_sheet,
    write_preview,
)
from proxia_segmentation_ros.data.dataset import Pair
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.training.recipe import Recipe, load_recipe

CAMVID = load_label_set("camvid")


def make_pair(class_id: int) -> Pair:
    labels_HW = np.full((24, 32), class_id, np.uint8)
    labels_HW[:, 16:] = 255
    return np.full((24, 32, 3), 100, np.uint8), labels_HW


def make_recipe(folder: Path, *overrides: str) -> Recipe:
    for place in ("train", "trainannot"):
        (folder / place).mkdir()
    for name in "ab":
        image_HWC, labels_HW = make_pair(3)
        cv2.imwrite(str(folder / "train" / f"{name}.png"), image_HWC)
        cv2.imwrite(str(folder / "trainannot" / f"{name}.png"), labels_HW)
    crop = ["augmentation.crop_hw=[24, 32]", "augmentation.scale_min=1"]
    recipe = folder / "mine.yaml"
    recipe.write_text(f"data: {{root: {folder}, label_set: camvid}}\n")
    return load_recipe(recipe, [*crop, *overrides])


def test_each_crop_stands_above_itself_with_its_labels() -> None:
    sheet_HWC = draw_sheet([make_pair(index) for index in range(5)], CAMVID)
    height = CELL_WIDTH * 24 // 32
    cell = (2 * height + 2 * GAP, CELL_WIDTH + 2 * GAP)
    assert sheet_HWC.shape[1] == COLUMNS * cell[1]
    left, half = cell[1] + GAP + CELL_WIDTH // 4, CELL_WIDTH // 2
    assert sheet_HWC[GAP + height // 2, left].tolist() == [100, 100, 100]
    blend = [round(0.4 * 100 + 0.6 * part) for part in CAMVID.classes[1].rgb]
    assert np.abs(sheet_HWC[GAP + height + height // 2, left].astype(int) - blend).max() <= 1
    unlabeled = sheet_HWC[GAP + height + height // 2, left + half]
    assert unlabeled.tolist() == [100, 100, 100]
    assert (sheet_HWC[cell[0] : 2 * cell[0], cell[1] :] == 250).all()


@pytest.mark.parametrize("sampling", ["", "data.class_uniform={share: 0.5, tile_px: 16}"])
def test_preview_is_of_the_pairs_that_training_draws(
    tmp_path: Path, sampling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXIA_CACHE_DIR", str(tmp_path / "cache"))
    recipe = make_recipe(tmp_path, *[line for line in [sampling] if line])
    assert write_preview(recipe, tmp_path / "new" / "sheet.png") == PAIRS
    sheet = cv2.imread(str(tmp_path / "new" / "sheet.png"))
    assert sheet is not None
    assert sheet.shape[1] == COLUMNS * (CELL_WIDTH + 2 * GAP)
    road = CAMVID.classes[3].rgb[::-1]
    cell_height = 2 * (CELL_WIDTH * 24 // 32 + GAP)
    legend = sheet[cell_height * (PAIRS // COLUMNS) :]
    assert (legend == road).all(2).any()


def test_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    with pytest.raises(InputError, match="can't be written"):
        write_preview(recipe, tmp_path)
