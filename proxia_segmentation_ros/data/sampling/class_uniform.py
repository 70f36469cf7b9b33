"""Class-uniform sampling: rare classes are drawn as often as common ones.

As in NVIDIA/semantic-segmentation (https://github.com/NVIDIA/semantic-segmentation, 2020). Source:
Zhu et al., "Improving Semantic Segmentation via Video Propagation and Label Relaxation", CVPR 2019,
arXiv 1812.01593.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from proxia_segmentation_ros.data.dataset import Dataset, FocusedPair
from proxia_segmentation_ros.data.sampling.centroids import (
    CentroidTable,
    ReportProgress,
    load_centroids,
)
from proxia_segmentation_ros.errors import ConfigError


class ClassUniformSettings(BaseModel):
    """How an epoch is composed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(
        default=0.5, ge=0, le=1, description="share of pairs drawn by class; 0 draws only images"
    )
    tile_px: int = Field(
        default=1024, ge=1, description="side of the tiles, which have one centroid per class"
    )
    max_cu_epoch: int = Field(
        default=150, ge=0, description="epoch from which no coarse pairs are drawn"
    )
    coarse_classes: tuple[str, ...] = Field(
        default=(), description="classes that are also drawn from coarse pairs; empty is all"
    )
    only_coarse: bool = Field(
        default=False, description="draw classes only from coarse pairs, until max_cu_epoch"
    )


class Selection(NamedTuple):
    """One pair of an epoch; `focus_xy` is the centroid that its crop must contain."""

    is_coarse: bool
    pair: int
    focus_xy: tuple[int, int] | None


@dataclass(frozen=True)
class Pool:
    """What an epoch is drawn from: rows of (is coarse, pair, x, y); x is -1 without a centroid."""

    images: np.ndarray
    by_class: tuple[np.ndarray, ...]


class EpochPlan:
    """The pairs of each epoch, a function of seed and epoch: the same in all processes and runs.

    An epoch has as many pairs as its pool has images: `images * share / classes` with a centroid
    of each class, and the rest without a centroid. A class without centroids adds to that rest.
    """

    def __init__(
        self, pool: Pool, *, share: float, seed: int, first_pool: Pool | None, max_cu_epoch: int
    ) -> None:
        self._first_pool, self._pool = first_pool or pool, pool
        self._first_epochs = max_cu_epoch if first_pool is not None else 0
        # From the decimal text, because the float 0.3 is slightly below three tenths.
        self._share = Fraction(str(share))
        self._seed = seed
        self._turns = np.random.default_rng(seed).permutation(len(pool.by_class)).tolist()
        self._drawn: dict[int, np.ndarray] = {}

    def locate(self, index: int) -> tuple[int, int]:
        """Return (epoch, position in it) of pair `index` of the whole run."""
        first = self._first_epochs * len(self._first_pool.images)
        if index < first:
            return divmod(index, len(self._first_pool.images))
        epoch, slot = divmod(index - first, len(self._pool.images))
        return self._first_epochs + epoch, slot

    def __getitem__(self, index: int) -> Selection:
        """Return pair `index` of the whole run."""
        epoch, slot = self.locate(index)
        rows = self._drawn.get(epoch)
        if rows is None:
            rows = self._draw_rows(epoch)
            # Two epochs are kept, because threads load batches on both sides of an epoch's end.
            self._drawn = dict([*self._drawn.items(), (epoch, rows)][-2:])
        return _as_selection(rows[slot])

    def draw_epoch(self, epoch: int) -> list[Selection]:
        """Return all pairs of an epoch in order."""
        return [_as_selection(row) for row in self._draw_rows(epoch)]

    def _draw_rows(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng((self._seed, epoch))
        pool = self._first_pool if epoch < self._first_epochs else self._pool
        length = len(pool.images)
        counts = zip(pool.by_class, self._count_by_class(length, epoch), strict=True)
        parts = [_take(rows, count, rng) for rows, count in counts if len(rows)]
        rest = length - sum(len(part) for part in parts)
        return rng.permutation(np.concatenate([*parts, _take(pool.images, rest, rng)]))

    def _count_by_class(self, length: int, epoch: int) -> list[int]:
        """Return the number of pairs of an epoch drawn for each class.

        The fractional part is carried over to the next epoch. NVIDIA/semantic-segmentation cuts it
        off, so that 10 images of 19 classes would never show a class by its centroid. Each class
        starts with another remainder, which spreads the extra pairs over the epochs and keeps
        `length * share` in every epoch.
        """
        drawn = length * self._share
        classes = len(self._turns)
        return [
            (drawn * (epoch + 1) + turn) // classes - (drawn * epoch + turn) // classes
            for turn in self._turns
        ]


def _take(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `count` random rows; a row is repeated only after all others were taken."""
    rounds = -(-count // len(rows))
    shuffled = [rng.permutation(rows) for _ in range(rounds)]
    return np.concatenate([rows[:0], *shuffled])[:count]


def _as_selection(row: np.ndarray) -> Selection:
    is_coarse, pair, x, y = row.tolist()
    return Selection(bool(is_coarse), pair, (x, y) if x >= 0 else None)


@dataclass(frozen=True, kw_only=True)
class ClassUniformSource:
    """A source of a `PairMixture` that draws its pairs by an `EpochPlan`.

    The plan is indexed by the position in the whole mixture: positions that other sources take are
    skipped, and an epoch is as many pairs of the whole mixture.
    """

    name: str
    weight: float
    plan: EpochPlan
    fine: Dataset
    coarse: Dataset | None = None

    def draw_at(self, index: int, rng: np.random.Generator) -> FocusedPair:  # noqa: ARG002
        """Return pair `index` of the run, uncropped, with the centroid for its crop."""
        selection = self.plan[index]
        dataset = self.coarse if selection.is_coarse and self.coarse is not None else self.fine
        return FocusedPair(*dataset[selection.pair], selection.focus_xy)


def open_class_uniform_source(
    fine: Dataset,
    settings: ClassUniformSettings,
    *,
    weight: float = 1.0,
    seed: int,
    coarse: Dataset | None = None,
    cache_folder: Path | None = None,
    report: ReportProgress | None = None,
) -> ClassUniformSource:
    """Load or find the centroids and return the source; `report(done, total)` counts images.

    Raises:
        ConfigError: the settings do not match the data sets.
        InputError: a label file can't be read, or centroids can't be kept.
    """
    _check(fine, coarse, settings)
    num_classes = len(fine.label_set)

    def split(dataset: Dataset) -> list[np.ndarray]:
        if settings.share == 0:
            return [np.empty((0, 4), np.int32)] * num_classes
        table = load_centroids(dataset, settings.tile_px, folder=cache_folder, report=report)
        return _split_by_class(table, num_classes, is_coarse=dataset is coarse)

    pool = Pool(_list_images(fine, is_coarse=False), tuple(split(fine)))
    first_pool = None
    if coarse is not None and settings.max_cu_epoch > 0:
        first_pool = _add_coarse(
            pool, _list_images(coarse, is_coarse=True), split(coarse), fine, settings
        )
    plan = EpochPlan(
        pool,
        share=settings.share,
        seed=seed,
        first_pool=first_pool,
        max_cu_epoch=settings.max_cu_epoch,
    )
    return ClassUniformSource(name=fine.name, weight=weight, plan=plan, fine=fine, coarse=coarse)


def _list_images(dataset: Dataset, *, is_coarse: bool) -> np.ndarray:
    rows = np.full((len(dataset), 4), -1, np.int32)
    rows[:, 0] = is_coarse
    rows[:, 1] = np.arange(len(dataset))
    return rows


def _split_by_class(table: CentroidTable, num_classes: int, *, is_coarse: bool) -> list[np.ndarray]:
    rows = table.copy()
    rows[:, 0] = is_coarse
    return [rows[table[:, 0] == class_id] for class_id in range(num_classes)]


def _add_coarse(
    pool: Pool,
    images: np.ndarray,
    by_class: list[np.ndarray],
    fine: Dataset,
    settings: ClassUniformSettings,
) -> Pool:
    """Return a pool with coarse centroids added, or coarse images if `share` is 0."""
    if settings.share == 0:
        return Pool(np.concatenate([pool.images, images]), pool.by_class)
    chosen = settings.coarse_classes or fine.label_set.names
    added = [
        rows if name in chosen else rows[:0]
        for name, rows in zip(fine.label_set.names, by_class, strict=True)
    ]
    if settings.only_coarse:
        return Pool(pool.images, tuple(added))
    both = zip(pool.by_class, added, strict=True)
    return Pool(pool.images, tuple(np.concatenate(parts) for parts in both))


def _check(fine: Dataset, coarse: Dataset | None, settings: ClassUniformSettings) -> None:
    names = fine.label_set.names
    unknown = [name for name in settings.coarse_classes if name not in names]
    if unknown:
        raise ConfigError.from_parts(
            f"coarse_classes names {unknown[0]!r}",
            f"classes of {fine.label_set.name}: {', '.join(names)}",
            "correct the recipe",
        )
    if coarse is None:
        if settings.coarse_classes or settings.only_coarse:
            raise ConfigError.from_parts(
                "coarse_classes or only_coarse is set without a coarse data set",
                "both or none of them",
                "name a coarse data set",
            )
    elif coarse.label_set.names != names:
        raise ConfigError.from_parts(
            f"{coarse.name} has the classes of {coarse.label_set.name}",
            f"those of {fine.name}: {fine.label_set.name}",
            "name another coarse data set",
        )
    if settings.only_coarse and settings.share == 0:
        raise ConfigError.from_parts(
            "only_coarse is set and share is 0",
            "a share above 0: only_coarse tells where classes are drawn from",
            "raise share",
        )
