"""Class centroids: where they lie, and their table on disk."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fill_rule import golden_labels

from proxia_segmentation_ros.data.datasets.folder import ImageMaskFolder
from proxia_segmentation_ros.data.sampling.centroids import (
    build_centroids,
    find_centroid_folder,
    find_centroids,
    load_centroids,
    make_key,
)
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.labels import LabelSet, load_label_set

GOLDEN = Path(__file__).parents[2] / "golden" / "centroids.json"
SIZE_HW = (40, 60)
LOAD_AND_COUNT = """
import sys
from pathlib import Path
from proxia_segmentation_ros.data.sampling.centroids import load_centroids
from proxia_segmentation_ros.data.datasets.folder import ImageMaskFolder
from proxia_segmentation_ros.labels import load_label_set

root, cache = Path(sys.argv[1]), Path(sys.argv[2])
pairs = ImageMaskFolder(root / "images", root / "masks", load_label_set("camvid"))
built = []
table = load_centroids(pairs, 20, folder=cache, report=lambda done, total: built.append(done))
sys.stdout.write(f"{len(built)} {len(table)}")
"""


def write_pairs(root: Path, count: int = 3) -> ImageMaskFolder:
    for folder in ("images", "masks"):
        (root / folder).mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        mask = np.repeat(np.repeat(rng.integers(0, 12, (4, 6)), 10, 0), 10, 1).astype(np.uint8)
        cv2.imwrite(str(root / "masks" / f"{index}.png"), mask)
        cv2.imwrite(str(root / "images" / f"{index}.png"), np.zeros((*SIZE_HW, 3), np.uint8))
    return open_pairs(root)


def open_pairs(root: Path, label_set: LabelSet | None = None) -> ImageMaskFolder:
    return ImageMaskFolder(root / "images", root / "masks", label_set or load_label_set("camvid"))


def count_reports(pairs: ImageMaskFolder, tile_px: int, folder: Path) -> int:
    """Return how many images are read for the table; 0 when it is on disk."""
    seen: list[int] = []
    load_centroids(pairs, tile_px, folder=folder, report=lambda done, total: seen.append(done))
    return len(seen)


def test_centroids_equal_the_reference() -> None:
    source_HW = golden_labels(512, 768, "golden-centroid", 34)
    source_HW[source_HW == 255] = 0
    labels_HW = load_label_set("cityscapes").map_source(source_HW)
    ours: dict[str, list[object]] = {str(k): [] for k in range(19)}
    for class_id, x, y in find_centroids(labels_HW, 256, 19).tolist():
        ours[str(class_id)].append([[x, y], class_id])
    assert ours == json.loads(GOLDEN.read_text())


def test_centroid_is_the_centre_of_mass_in_each_tile() -> None:
    labels_HW = np.full((20, 40), 255, np.uint8)
    labels_HW[2:5, 10:13] = 1
    labels_HW[18:20, 39] = 0
    assert find_centroids(labels_HW, 20, 2).tolist() == [[1, 11, 3], [0, 39, 18]]


@pytest.mark.parametrize(("tile_px", "expected"), [(10, 6), (20, 1), (15, 2), (100, 1)])
def test_tile_size_is_honoured_and_a_small_image_is_one_tile(tile_px: int, expected: int) -> None:
    assert len(find_centroids(np.zeros((20, 30), np.uint8), tile_px, 1)) == expected


def test_table_holds_every_pair_whatever_the_number_of_threads(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path)
    seen: list[tuple[int, int]] = []
    table = build_centroids(
        pairs, 20, workers=3, report=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert sorted(set(table[:, 1].tolist())) == [0, 1, 2]
    for class_id, pair, x, y in table.tolist():
        tile_HW = pairs[pair][1][y // 20 * 20 :, x // 20 * 20 :][:20, :20]
        assert class_id in tile_HW
    np.testing.assert_array_equal(table, build_centroids(pairs, 20, workers=1))


def test_table_is_built_once_and_read_afterwards(tmp_path: Path) -> None:
    pairs, cache = write_pairs(tmp_path), tmp_path / "cache"
    assert count_reports(pairs, 20, cache) == 3
    assert count_reports(pairs, 20, cache) == 0
    np.testing.assert_array_equal(
        load_centroids(pairs, 20, folder=cache), build_centroids(pairs, 20)
    )
    assert sorted(path.suffix for path in cache.iterdir()) == [".lock", ".npy"]


def test_changed_mask_size_tile_or_classes_build_anew(tmp_path: Path) -> None:
    pairs, cache = write_pairs(tmp_path), tmp_path / "cache"
    count_reports(pairs, 20, cache)
    assert count_reports(pairs, 10, cache) == 3
    fewer = LabelSet.from_dict(
        {"name": "one", "classes": [{"id": 0, "name": "sky", "rgb": [0, 0, 0]}]}
    )
    assert count_reports(open_pairs(tmp_path, fewer), 20, cache) == 3
    mask = tmp_path / "masks" / "1.png"
    stat = mask.stat()
    os.utime(mask, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert count_reports(pairs, 20, cache) == 3
    assert count_reports(write_pairs(tmp_path, 4), 20, cache) == 4


@pytest.mark.parametrize("content", [b"", b"no table", b"\x93NUMPY\x01\x00"])
def test_broken_file_is_built_anew(tmp_path: Path, content: bytes) -> None:
    pairs, cache = write_pairs(tmp_path), tmp_path / "cache"
    count_reports(pairs, 20, cache)
    next(cache.glob("*.npy")).write_bytes(content)
    assert count_reports(pairs, 20, cache) == 3
    assert count_reports(pairs, 20, cache) == 0


def test_two_processes_at_once_build_once(tmp_path: Path) -> None:
    write_pairs(tmp_path, 20)
    command = [sys.executable, "-c", LOAD_AND_COUNT, str(tmp_path), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = [
        [int(word) for word in process.communicate(timeout=120)[0].split()] for process in running
    ]
    assert sorted(built for built, _ in counts) == [0, 20]
    assert counts[0][1] == counts[1][1] > 0


def test_unreadable_mask_leaves_no_table(tmp_path: Path) -> None:
    pairs, cache = write_pairs(tmp_path), tmp_path / "cache"
    (tmp_path / "masks" / "1.png").write_bytes(b"text")
    with pytest.raises(InputError, match=r"masks/1\.png.*can't be read"):
        load_centroids(pairs, 20, folder=cache)
    assert list(cache.glob("*.npy")) == []


def test_mask_that_vanished_is_named(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path)
    (tmp_path / "masks" / "2.png").unlink()
    with pytest.raises(InputError, match=r"2\.png.*does not exist"):
        make_key(pairs, 20)


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path)
    (tmp_path / "cache").write_text("")
    with pytest.raises(InputError, match="PROXIA_CACHE_DIR"):
        load_centroids(pairs, 20, folder=tmp_path / "cache")


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXIA_CACHE_DIR", "/own")
    assert find_centroid_folder() == Path("/own")
    monkeypatch.delenv("PROXIA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert find_centroid_folder() == Path("/cache/proxia_segmentation_ros/centroids")
