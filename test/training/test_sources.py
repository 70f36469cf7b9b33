"""Sources of a recipe's pairs."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.data.sampling.class_uniform import ClassUniformSettings
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.checkpoint import load_weights
from proxia_segmentation_ros.training.session import train_from_recipe
from proxia_segmentation_ros.training.settings import DataSettings
from proxia_segmentation_ros.training.smoke import run_smoke
from proxia_segmentation_ros.training.sources import StridedDataset, make_sources, open_validation


@pytest.fixture
def cityscapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a tree of Cityscapes: 20 and 2 images of 64x128, each with a small car."""
    monkeypatch.setenv("PROXIA_CACHE_DIR", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for split, city, count in (("train", "aachen", 20), ("val", "ulm", 2)):
        images = tmp_path / "leftImg8bit" / split / city
        masks = tmp_path / "gtFine" / split / city
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for index in range(count):
            image = rng.integers(0, 255, (64, 128, 3), dtype=np.uint8)
            mask = np.full((64, 128), 7, np.uint8)
            mask[40:46, 100:106] = 26
            stem = f"{city}_{index:06d}_000019"
            cv2.imwrite(str(images / f"{stem}_leftImg8bit.png"), image)
            cv2.imwrite(str(masks / f"{stem}_gtFine_labelIds.png"), mask)
    return tmp_path


def test_class_uniform_source_shows_the_rare_class(cityscapes: Path) -> None:
    settings = DataSettings(
        root=str(cityscapes),
        dataset="cityscapes",
        label_set="cityscapes",
        class_uniform=ClassUniformSettings(share=1.0, tile_px=64),
        long_side=64,
    )
    [source] = make_sources(settings, load_label_set("cityscapes"))
    drawn = [source.draw_at(index, np.random.default_rng(index)) for index in range(20)]
    assert all(pair.labels_HW.shape == (32, 64) for pair in drawn)
    focused = [(pair.labels_HW, pair.focus_xy) for pair in drawn if pair.focus_xy is not None]
    shown = {int(labels_HW[y, x]) for labels_HW, (x, y) in focused}
    assert shown == {0, 13}


def test_recipe_trains_on_a_named_data_set(cityscapes: Path, tmp_path: Path) -> None:
    overrides = [
        f"data.root={cityscapes}",
        "model.architecture=hrnet_w18_small_v1_ocr_mscale",
        "model.ocr_mid=8",
        "model.ocr_key=4",
        "model.attention_mid=4",
        "model.size_hw=[64, 128]",
        "augmentation.crop_hw=[64, 64]",
        "data.class_uniform.tile_px=64",
        "steps=2",
        "batch_size=2",
        "validate_every=2",
        "threads=1",
    ]
    rows: list[dict[str, object]] = []
    out = tmp_path / "run"
    path = train_from_recipe("train_cityscapes", overrides, out=out, report=rows.append)
    card = load_weights(path)[1]
    assert len(card.label_set.classes) == 19
    assert rows[-1]["val_miou"] == rows[-1]["folder_miou"]


def test_smoke_run_finds_centroids_of_few_images_and_keeps_them_apart(
    cityscapes: Path, tmp_path: Path
) -> None:
    overrides = [
        f"data.root={cityscapes}",
        "model.architecture=hrnet_w18_small_v1_ocr_mscale",
        "model.ocr_mid=8",
        "model.ocr_key=4",
        "model.attention_mid=4",
        "data.class_uniform.tile_px=64",
        "threads=1",
        "precision=f32",
    ]
    run_smoke("train_cityscapes", overrides, out=tmp_path / "a-smoke", report=lambda row: None)
    tables = [np.load(path) for path in (tmp_path / "cache").glob("*.npy")]
    assert [len(np.unique(table[:, 1])) for table in tables] == [8]
    assert count_centroid_reports(cityscapes) == [(done, 20) for done in range(1, 21)]


def count_centroid_reports(root: Path) -> list[tuple[int, int]]:
    settings = DataSettings(
        root=str(root),
        dataset="cityscapes",
        label_set="cityscapes",
        class_uniform=ClassUniformSettings(tile_px=64),
    )
    seen: list[tuple[int, int]] = []
    make_sources(
        settings,
        load_label_set("cityscapes"),
        report_centroids=lambda done, total: seen.append((done, total)),
    )
    return seen


def test_search_for_centroids_is_reported_once(cityscapes: Path) -> None:
    assert count_centroid_reports(cityscapes) == [(done, 20) for done in range(1, 21)]
    assert count_centroid_reports(cityscapes) == []


def test_only_folders_keep_decoded_pairs_and_only_while_asked(
    cityscapes: Path, tmp_path: Path
) -> None:
    label_set = load_label_set("cityscapes")
    folder: dict[str, Any] = {"root": str(tmp_path), "label_set": "cityscapes", "train_limit": 1}
    for name, split in (("images", "leftImg8bit"), ("masks", "gtFine")):
        (tmp_path / name).mkdir()
        for path in (cityscapes / split / "val" / "ulm").iterdir():
            stem = "_".join(path.stem.split("_")[:3])
            (tmp_path / name / f"{stem}.png").write_bytes(path.read_bytes())
    kept = DataSettings(**folder, images="images", masks="masks")
    for settings, is_kept in (
        (kept, True),
        (kept.model_copy(update={"keep_decoded": False}), False),
        (DataSettings(**folder, dataset="cityscapes"), False),
    ):
        [source] = make_sources(settings, label_set)
        first, second = (source.draw_at(0, np.random.default_rng(0)).image_HWC for _ in range(2))
        assert (first is second) is is_kept


def test_limit_takes_the_first_pairs_for_training_alone(cityscapes: Path) -> None:
    settings = DataSettings(
        root=str(cityscapes), dataset="cityscapes", label_set="cityscapes", train_limit=1
    )
    [source] = make_sources(settings, load_label_set("cityscapes"))
    drawn = {source.draw_at(k, np.random.default_rng(k)).image_HWC.tobytes() for k in range(9)}
    assert len(drawn) == 1
    assert len(open_validation(settings, load_label_set("cityscapes"))) == 2


def test_label_set_of_other_classes_is_refused(cityscapes: Path) -> None:
    settings = DataSettings(root=str(cityscapes), dataset="cityscapes", label_set="camvid")
    with pytest.raises(ConfigError, match=r"'camvid' has 11 classes.*set data.label_set to citysc"):
        make_sources(settings, load_label_set("camvid"))


def test_validation_takes_every_nth_up_to_a_limit(cityscapes: Path) -> None:
    settings = DataSettings(root=str(cityscapes), dataset="cityscapes", label_set="cityscapes")
    pairs = open_validation(settings, load_label_set("cityscapes"))
    assert len(StridedDataset(pairs, 1, 0, 0)) == 2
    assert len(StridedDataset(pairs, 2, 0, 0)) == 1
    few = StridedDataset(pairs, 1, 1, 32)
    assert len(few) == 1
    assert few[0][1].shape == (16, 32)
