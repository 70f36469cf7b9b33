"""Draws training pairs from several sources in given shares, as a function of seed and index."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from proxia_segmentation_ros.data.augmentation import (
    AugmentationSettings,
    augment_pair,
    mix_classes,
)
from proxia_segmentation_ros.errors import ConfigError

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where pairs come from: `draw(rng, epoch_slot)` returns (image_HWC, labels_HW)."""

    name: str
    weight: float
    draw: Callable[[np.random.Generator], Pair]


class PairMixture:
    """Endless augmented pairs; pair `index` is the same in every run and every process."""

    def __init__(
        self,
        sources: Sequence[Source],
        augmentation: AugmentationSettings,
        *,
        seed: int,
        unlabeled_id: int,
    ) -> None:
        total = sum(source.weight for source in sources)
        if total <= 0:
            raise ConfigError.from_parts(
                "the weights of the training sources add up to 0",
                "at least one source with a positive weight",
                "raise camvid or synthetic",
            )
        self._sources = [source for source in sources if source.weight > 0]
        self._shares = [source.weight / total for source in self._sources]
        self._augmentation = augmentation
        self._seed = seed
        self._unlabeled_id = unlabeled_id

    def __getitem__(self, index: int) -> Pair:
        """Return pair `index` as (uint8 RGB crop, labels crop)."""
        rng = np.random.default_rng((self._seed, index))
        pair = self._draw(rng)
        mixed = self._augmentation.class_mix
        if mixed and rng.random() < mixed:
            pair = mix_classes(pair, self._draw(rng), rng, unlabeled_id=self._unlabeled_id)
        return pair

    def _draw(self, rng: np.random.Generator) -> Pair:
        source = self._sources[int(rng.choice(len(self._sources), p=self._shares))]
        image_HWC, labels_HW = source.draw(rng)
        return augment_pair(
            image_HWC, labels_HW, self._augmentation, rng, unlabeled_id=self._unlabeled_id
        )
