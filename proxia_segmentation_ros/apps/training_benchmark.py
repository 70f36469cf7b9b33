"""What our training step saves: against plain PyTorch training of the same network.

Plain is what one writes first: float32, contiguous tensors, the network's own forward, a batch
drawn when it is needed. Rounds alternate, so that a slower minute of the machine slows both.
"""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxia_segmentation_ros.apps.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from proxia_segmentation_ros.training.recipe import Recipe
    from proxia_segmentation_ros.training.trainer import Trainer

# Few enough to be painted before the first round that counts.
SYNTHETIC_FRAMES = 16


@dataclass(frozen=True, kw_only=True)
class TrainingBenchmarkSettings:
    """One more round than `rounds` is run: the first one warms both up."""

    recipe: str = "synthetic"
    overrides: tuple[str, ...] = ()
    rounds: int = 5
    steps: int = 10


def run_training_benchmark(
    settings: TrainingBenchmarkSettings, progress: Progress
) -> dict[str, Any]:
    """Return the median seconds a step of both and how many times faster ours is.

    Raises:
        ConfigError: the recipe is wrong.
        InputError: its data can't be read.
    """
    from proxia_segmentation_ros.training.session import make_trainer

    recipe = make_timed_recipe(settings)
    ours_s: list[float] = []
    plain_s: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(recipe, Path(folder), lambda _row: None)
        plain = PlainTraining(recipe)
        progress.begin("training", settings.rounds + 1)
        for _ in range(settings.rounds + 1):
            ours_s.append(_time_trainer(trainer, settings.steps))
            plain_s.append(plain.time_steps(settings.steps))
            progress.advance()
    return summarize_training_rounds(recipe, ours_s[1:], plain_s[1:])


def make_timed_recipe(settings: TrainingBenchmarkSettings) -> "Recipe":
    """Return the recipe on the CPU, without what is no training step: validation and saving."""
    from proxia_segmentation_ros.training.recipe import load_recipe

    never = settings.steps * (settings.rounds + 1) + 1
    quiet = [
        f"steps={never}",
        f"validate_every={never}",
        f"save_every={never}",
        f"data.synthetic_frames={SYNTHETIC_FRAMES}",
        "device=cpu",
    ]
    return load_recipe(settings.recipe, [*settings.overrides, *quiet])


def summarize_training_rounds(
    recipe: "Recipe", ours_s: Sequence[float], plain_s: Sequence[float]
) -> dict[str, Any]:
    """Return the figures; the ratio is the median of the rounds' ratios."""
    ratios = [plain / ours for ours, plain in zip(ours_s, plain_s, strict=True)]
    height, width = recipe.augmentation.crop_hw
    return {
        "architecture": recipe.model.architecture,
        "crop": f"{width}x{height}",
        "batch_size": recipe.batch_size,
        "accumulate": recipe.accumulate,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "step_s": {
            "ours": round(statistics.median(ours_s), 3),
            "plain": round(statistics.median(plain_s), 3),
        },
        "times_faster": round(statistics.median(ratios), 2),
        "rounds": [round(ratio, 2) for ratio in ratios],
    }


def _time_trainer(trainer: "Trainer", steps: int) -> float:
    began_s = time.perf_counter()
    trainer.run(stop_step=trainer.step + steps)
    return (time.perf_counter() - began_s) / steps


class PlainTraining:
    """The same network, data, loss and optimiser without any of our shortcuts."""

    def __init__(self, recipe: "Recipe") -> None:
        import torch

        from proxia_segmentation_ros.data.mixture import PairMixture
        from proxia_segmentation_ros.labels import load_label_set
        from proxia_segmentation_ros.training.session import build_network, make_sources
        from proxia_segmentation_ros.training.trainer import (
            Normalisation,
            make_objective,
            make_optimiser,
        )

        label_set = load_label_set(recipe.data.label_set)
        self._batch_size = recipe.batch_size
        self._accumulate = recipe.accumulate
        self._pairs = PairMixture(
            make_sources(recipe.data, label_set),
            recipe.augmentation,
            seed=recipe.seed,
            unlabeled_id=label_set.unlabeled_id,
        )
        self.network = build_network(recipe, len(label_set)).train()
        self._objective = make_objective(recipe.optimiser, label_set, torch.ones(len(label_set)))
        self._optimiser = make_optimiser(self.network, recipe.optimiser)
        self._normalisation = Normalisation()
        self._drawn = 0

    def time_steps(self, steps: int) -> float:
        """Take so many steps; return the seconds of one."""
        began_s = time.perf_counter()
        for _ in range(steps):
            self._take_step()
        return (time.perf_counter() - began_s) / steps

    def _take_step(self) -> None:
        self._optimiser.zero_grad()
        for _ in range(self._accumulate):
            (self._compute_loss() / self._accumulate).backward()
        self._optimiser.step()

    def _compute_loss(self) -> "Tensor":
        import numpy as np
        import torch

        pairs = [self._pairs[self._drawn + slot] for slot in range(self._batch_size)]
        self._drawn += self._batch_size
        images = torch.from_numpy(np.stack([image for image, _ in pairs]))
        labels = torch.from_numpy(np.stack([labels for _, labels in pairs])).long()
        outputs = self.network.outputs(self._normalisation.apply(images).contiguous())
        return self._objective(outputs, labels)
