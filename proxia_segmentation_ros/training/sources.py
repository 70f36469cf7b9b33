"""Open the training and validation data of a recipe."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from proxia_segmentation_ros.data.dataset import Dataset, FocusedPair
from proxia_segmentation_ros.data.datasets.catalogue import open_dataset
from proxia_segmentation_ros.data.datasets.folder import ImageMaskFolder
from proxia_segmentation_ros.data.label_statistics import list_label_problems
from proxia_segmentation_ros.data.pair_checks import check_pairs
from proxia_segmentation_ros.data.resize import resize_pair
from proxia_segmentation_ros.data.sampling.centroids import ReportProgress
from proxia_segmentation_ros.data.sampling.class_uniform import open_class_uniform_source
from proxia_segmentation_ros.data.sampling.limited_dataset import LimitedDataset
from proxia_segmentation_ros.data.sampling.mixture import Pair, PairSource, Source
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.synthetic import StreetScene
from proxia_segmentation_ros.training.settings import FOLDER, DataSettings


def make_sources(
    settings: DataSettings,
    label_set: LabelSet,
    *,
    seed: int = 0,
    report_centroids: ReportProgress | None = None,
) -> list[PairSource]:
    """Return the training sources with a positive weight.

    `report_centroids(done, total)` is called for each image whose centroids have to be found; with
    a coarse data set it counts a second time.

    Raises:
        ConfigError: a data set's option is wrong, or its classes are not the recipe's.
        InputError: a folder or file is missing.
    """
    sources: list[PairSource] = []
    if settings.folder_weight > 0:
        source = _open_files(settings, label_set, seed, report_centroids)
        is_resized = settings.long_side > 0
        sources.append(ResizedSource(source, settings.long_side) if is_resized else source)
    if settings.synthetic_weight > 0:
        sources.append(_open_synthetic(settings))
    return sources


def list_training_label_problems(settings: DataSettings, label_set: LabelSet) -> list[str]:
    """Return a sentence for each problem found in the training masks.

    Raises:
        ConfigError: an option is wrong, or its classes are not the recipe's.
        InputError: a folder or file is missing or can't be read, or no pixel has a class.
    """
    if settings.folder_weight == 0:
        return []
    return list_label_problems(_open_training(settings, label_set))


def check_training_files(settings: DataSettings, label_set: LabelSet) -> list[str]:
    """Check the headers of all files of the training and of the validation.

    Returns a sentence for what may be meant otherwise.

    Raises:
        ConfigError: an option is wrong, or its classes are not the recipe's.
        InputError: a folder or file is missing, truncated, of the wrong format or size; the message
            lists them.
    """
    if settings.folder_weight == 0:
        return []
    sets = [_limit(_open_training(settings, label_set), settings.train_limit)]
    coarse = _open_coarse(settings)
    sets += [coarse] if coarse is not None else []
    sets.append(open_validation(settings, label_set))
    return [note for pairs in sets for note in check_pairs(pairs)]


def _open_coarse(settings: DataSettings) -> Dataset | None:
    if settings.class_uniform is None or not settings.coarse_dataset:
        return None
    whole = open_dataset(
        settings.coarse_dataset,
        settings.coarse_root or settings.root,
        settings.coarse_split,
        **settings.coarse_options,
    )
    return _limit(whole, settings.train_limit)


def _open_files(
    settings: DataSettings, label_set: LabelSet, seed: int, report_centroids: ReportProgress | None
) -> PairSource:
    pairs = _limit(_open_training(settings, label_set), settings.train_limit)
    if settings.class_uniform is not None:
        return open_class_uniform_source(
            pairs,
            settings.class_uniform,
            weight=settings.folder_weight,
            seed=seed,
            coarse=_open_coarse(settings),
            report=report_centroids,
        )

    def draw_from_folder(rng: np.random.Generator) -> Pair:
        return pairs[int(rng.integers(len(pairs)))]

    return Source(name="folder", weight=settings.folder_weight, draw=draw_from_folder)


def _limit(pairs: Dataset, count: int) -> Dataset:
    return LimitedDataset(pairs, count) if count else pairs


def _open_synthetic(settings: DataSettings) -> PairSource:
    frames: dict[int, Pair] = {}

    def draw_synthetic(rng: np.random.Generator) -> Pair:
        seed = int(rng.integers(settings.synthetic_frames))
        if seed not in frames:
            frames[seed] = StreetScene.sample(seed, settings.synthetic_size_hw)
        return frames[seed]

    return Source(name="synthetic", weight=settings.synthetic_weight, draw=draw_synthetic)


def _open_training(settings: DataSettings, label_set: LabelSet) -> Dataset:
    if settings.dataset == FOLDER:
        root = Path(settings.root)
        return ImageMaskFolder(
            root / settings.images,
            root / settings.masks,
            label_set,
            keep_decoded=settings.keep_decoded,
        )
    return _open_named(settings, settings.train_split, label_set)


def open_validation(settings: DataSettings, label_set: LabelSet) -> Dataset:
    """Return the validation pairs of the recipe's data set.

    Raises:
        ConfigError: an option is wrong, or its classes are not the recipe's.
        InputError: a folder or file is missing.
    """
    if settings.dataset == FOLDER:
        root = Path(settings.root)
        return ImageMaskFolder(root / settings.val_images, root / settings.val_masks, label_set)
    return _open_named(settings, settings.val_split, label_set)


def _open_named(settings: DataSettings, split: str, label_set: LabelSet) -> Dataset:
    pairs = open_dataset(settings.dataset, settings.root, split, **settings.options)
    if pairs.label_set.names != label_set.names:
        raise ConfigError.from_parts(
            f"data.label_set {settings.label_set!r} has {len(label_set)} classes, and the data "
            f"set {settings.dataset!r} {len(pairs.label_set)}, or others",
            "the classes of the data set in its order",
            f"set data.label_set to {pairs.label_set.name}",
        )
    return pairs


class StridedDataset:
    """Every `stride`-th pair of a data set, at most `limit`, resized if `long_side` is set."""

    def __init__(self, pairs: Dataset, stride: int, limit: int, long_side: int) -> None:
        self._pairs = pairs
        self._long_side = long_side
        indices = range(0, len(pairs), stride)
        self._indices = indices[:limit] if limit else indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Pair:
        """Return one pair."""
        pair = FocusedPair(*self._pairs[self._indices[index]])
        return resize_pair(pair, self._long_side)[:2]


@dataclass(frozen=True)
class ResizedSource:
    """A source whose pairs are resized to the same longer side before augmentation."""

    source: PairSource
    long_side: int

    @property
    def name(self) -> str:
        """Return the name of the source."""
        return self.source.name

    @property
    def weight(self) -> float:
        """Return the share of the source."""
        return self.source.weight

    def draw_at(self, index: int, rng: np.random.Generator) -> FocusedPair:
        """Return the source's pair for position `index` of the run, resized."""
        return resize_pair(self.source.draw_at(index, rng), self.long_side)
