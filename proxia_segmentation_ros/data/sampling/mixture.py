"""Draws training pairs from several sources in given shares, as a function of seed and index."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from proxia_segmentation_ros.data.augmentation.augment import (
    AugmentationSettings,
    augment_pair,
    mix_classes,
)
from proxia_segmentation_ros.data.dataset import FocusedPair
from proxia_segmentation_ros.data.dataset import Pair as Pair
from proxia_segmentation_ros.errors import ConfigError


class PairSource(Protocol):
    """Where pairs come from, in the share `weight` of the mixture.

    `draw_at(index, rng)` returns a pair before its augmentation, a function of its arguments
    alone. `index` counts the pairs of the whole run; with a `focus_xy` the crop that is made
    of the pair shows that point.
    """

    @property
    def name(self) -> str:
        """Return the name of the source, for messages."""

    @property
    def weight(self) -> float:
        """Return the share of the source, relative to the other sources."""

    def draw_at(self, index: int, rng: np.random.Generator) -> FocusedPair:
        """Return the pair of the source for place `index` of the run."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source without order: `draw(rng)` returns (image_HWC, labels_HW)."""

    name: str
    weight: float
    draw: Callable[[np.random.Generator], Pair]

    def draw_at(self, index: int, rng: np.random.Generator) -> FocusedPair:  # noqa: ARG002
        """Return any pair."""
        return FocusedPair(*self.draw(rng))


class PairMixture:
    """Endless augmented pairs; pair `index` is the same in every run and every process."""

    def __init__(
        self,
        sources: Sequence[PairSource],
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
                "raise folder_weight or synthetic_weight",
            )
        self._sources = [source for source in sources if source.weight > 0]
        self._shares = [source.weight / total for source in self._sources]
        self._augmentation = augmentation
        self._seed = seed
        self._unlabeled_id = unlabeled_id

    def __getitem__(self, index: int) -> Pair:
        """Return pair `index` as (uint8 RGB crop, labels crop)."""
        rng = np.random.default_rng((self._seed, index))
        pair = self._draw(index, rng)
        mixed = self._augmentation.class_mix
        if mixed and rng.random() < mixed:
            # The place after this one: at the same place an ordered source has the same pair.
            other = self._draw(index + 1, rng)
            pair = mix_classes(pair, other, rng, unlabeled_id=self._unlabeled_id)
        return pair

    def _draw(self, index: int, rng: np.random.Generator) -> Pair:
        source = self._sources[int(rng.choice(len(self._sources), p=self._shares))]
        image_HWC, labels_HW, focus_xy = source.draw_at(index, rng)
        return augment_pair(
            image_HWC,
            labels_HW,
            self._augmentation,
            rng,
            unlabeled_id=self._unlabeled_id,
            focus_xy=focus_xy,
        )
