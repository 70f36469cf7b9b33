"""Centroids of each class in each image: its centre of mass in every tile, cached on disk.

They are what class-uniform sampling draws from (NVIDIA/semantic-segmentation, 2020,
https://github.com/NVIDIA/semantic-segmentation). The cache file is named by a hash of the label
files and the settings, so changed masks or another tile size never read a stale file.
"""

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np

from proxia_segmentation_ros.atomic_file import open_atomically
from proxia_segmentation_ros.data.dataset import Dataset
from proxia_segmentation_ros.errors import InputError

logger = logging.getLogger(__name__)

# Rows of (class, pair, x, y), ordered by pair, then by tile, then by class.
CentroidTable: TypeAlias = np.ndarray
ReportProgress: TypeAlias = Callable[[int, int], None]

# To be increased when the same files give other centroids, as at 2: grey PNGs below 8 bits.
FILE_FORMAT = 2
COLUMNS = 4


def find_centroids(labels_HW: np.ndarray, tile_px: int, num_classes: int) -> np.ndarray:
    """Return rows of (class, x, y): the centre of mass of each class in each square tile.

    Tiles go row by row from the top left. The rest right of and below the last whole tile is left
    out; an image smaller than a tile is one tile.
    """
    height, width = labels_HW.shape
    tile_height, tile_width = min(tile_px, height), min(tile_px, width)
    found = []
    for top in range(0, height - tile_height + 1, tile_height):
        for left in range(0, width - tile_width + 1, tile_width):
            tile_HW = labels_HW[top : top + tile_height, left : left + tile_width]
            rows = _find_in_tile(tile_HW, num_classes)
            found.append(rows + np.array([0, left, top]))
    return np.concatenate(found)


def _find_in_tile(tile_HW: np.ndarray, num_classes: int) -> np.ndarray:
    """Find the centroids in one tile from pixel counts by row and by column, in exact integers."""
    height, width = tile_HW.shape
    bins_HW = np.minimum(tile_HW, num_classes).astype(np.int64)
    bins = num_classes + 1
    by_row = np.bincount(
        (bins_HW * height + np.arange(height)[:, None]).ravel(), minlength=bins * height
    ).reshape(bins, height)[:num_classes]
    by_column = np.bincount(
        (bins_HW * width + np.arange(width)).ravel(), minlength=bins * width
    ).reshape(bins, width)[:num_classes]
    pixels = by_row.sum(axis=1)
    present = np.flatnonzero(pixels)
    x = by_column[present] @ np.arange(width) // pixels[present]
    y = by_row[present] @ np.arange(height) // pixels[present]
    return np.stack([present, x, y], axis=1)


def build_centroids(
    dataset: Dataset,
    tile_px: int,
    *,
    workers: int | None = None,
    report: ReportProgress | None = None,
) -> CentroidTable:
    """Find the centroids of a data set with `workers` threads (default: one per CPU).

    `report(done, total)` is called after every image.

    Raises:
        InputError: a label file can't be read.
    """
    num_classes = len(dataset.label_set)

    def find(index: int) -> np.ndarray:
        rows = find_centroids(dataset.read_labels(index), tile_px, num_classes)
        return np.insert(rows, 1, index, axis=1)

    tables = []
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1)
    try:
        for rows in pool.map(find, range(len(dataset))):
            tables.append(rows)
            if report is not None:
                report(len(tables), len(dataset))
    finally:
        # After an error, images still in the queue are not read.
        pool.shutdown(cancel_futures=True)
    return np.concatenate(tables).astype(np.int32)


def load_centroids(
    dataset: Dataset,
    tile_px: int,
    *,
    folder: Path | None = None,
    workers: int | None = None,
    report: ReportProgress | None = None,
) -> CentroidTable:
    """Return the data set's centroids from the cache in `folder`, building them if needed.

    Of several processes the first builds them under a lock, and the others wait for its file.

    Raises:
        InputError: a label file can't be read, or the folder can't be written.
    """
    folder = folder or find_centroid_folder()
    path = folder / f"{make_key(dataset, tile_px)}.npy"
    with _hold_lock(path.with_suffix(".lock")):
        table = _read_table(path)
        if table is None:
            table = build_centroids(dataset, tile_px, workers=workers, report=report)
            _write_table(path, table)
        return table


def find_centroid_folder() -> Path:
    """Return `$PROXIA_CACHE_DIR`, else `$XDG_CACHE_HOME/proxia_segmentation_ros/centroids`."""
    own = os.environ.get("PROXIA_CACHE_DIR")
    if own:
        return Path(own)
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise InputError.from_parts(
            "this user has no home folder", "a folder for centroids", "set PROXIA_CACHE_DIR"
        ) from error
    return cache / "proxia_segmentation_ros" / "centroids"


def make_key(dataset: Dataset, tile_px: int) -> str:
    """Return the hash of everything that the centroids depend on.

    Raises:
        InputError: a label file is missing.
    """
    settings = {
        "format": FILE_FORMAT,
        "tile_px": tile_px,
        "classes": len(dataset.label_set),
        "source_table": hashlib.sha256(dataset.label_set.source_table.tobytes()).hexdigest(),
        "rules": dict(dataset.label_rules),
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for index in range(len(dataset)):
        digest.update(_describe_files(dataset.list_label_files(index)).encode())
    return digest.hexdigest()[:32]


def _describe_files(paths: Sequence[Path]) -> str:
    try:
        facts = [(str(path.resolve()), path.stat()) for path in paths]
    except FileNotFoundError as error:
        raise InputError.from_parts(
            f"mask {error.filename!r} does not exist", "a file", "check the data set"
        ) from error
    return json.dumps([[name, stat.st_size, stat.st_mtime_ns] for name, stat in facts])


@contextmanager
def _hold_lock(path: Path) -> Iterator[None]:
    """Wait for the lock and hold it; the system releases it if the process dies."""
    with _name_folder(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _name_folder(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError.from_parts(
            f"centroids can't be kept in {str(folder)!r} ({error.strerror or error})",
            "a folder that can be written",
            "set PROXIA_CACHE_DIR to one",
        ) from error


def _read_table(path: Path) -> CentroidTable | None:
    try:
        table: np.ndarray = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return None
    except (ValueError, EOFError) as error:
        logger.warning("centroid file %s can't be read (%s); building anew", path, error)
        return None
    if table.ndim != 2 or table.shape[1] != COLUMNS:
        logger.warning("centroid file %s has the shape %s; building anew", path, table.shape)
        return None
    return table


def _write_table(path: Path, table: CentroidTable) -> None:
    """Write the file atomically: a reader sees the whole table or no file."""
    with _name_folder(path.parent), open_atomically(path, sync_to_disk=True) as file:
        np.save(file, table)
