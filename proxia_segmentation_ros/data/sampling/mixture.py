"""Draw training pairs from weighted sources, as a function of seed and index."""

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
    """A source of pairs with a relative weight in the mixture.

    `draw_at(index, rng)` returns a pair before augmentation and depends on nothing but its
    arguments. `index` counts the pairs of the whole run. The crop of a pair with a `focus_xy`
    contains that point.
    """

    @property
    def name(self) -> str:
        """Return the name of the source, for messages."""

    @property
    def weight(self) -> float:
        """Return the weight of the source, relative to the other sources."""

    def draw_at(self, index: int, rng: np.random.Generator) -> FocusedPair:
        """Return the source's pair for position `index` of the run."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source of random pairs: `draw(rng)` returns (image_HWC, labels_HW)."""

    name: str
    weight: float
    draw: Callable[[np.random.Generator], Pair]

    def draw_at(self, index: int, rng: np.random.Generator) -> FocusedPair:  # noqa: ARG002
        """Return a random pair."""
        return FocusedPair(*self.draw(rng))


class PairMixture:
    """Endless augmented pairs; pair `index` is the same in every run and process."""

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
            # The next index, because an ordered source would return the same pair for this one.
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
