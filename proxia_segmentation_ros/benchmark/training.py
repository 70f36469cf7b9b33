"""Our training step against plain PyTorch training of the same network, in interleaved rounds.

Plain training has a process of its own: our allocator setting (`training.memory`) is process-wide.
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

from proxia_segmentation_ros.benchmark.workers.plain_training import PlainTrainingProcess
from proxia_segmentation_ros.progress import Progress

if TYPE_CHECKING:
    from proxia_segmentation_ros.training.recipe import Recipe
    from proxia_segmentation_ros.training.trainer import Trainer

# Few enough to be rendered during the warm-up round.
SYNTHETIC_FRAMES = 16


@dataclass(frozen=True, kw_only=True)
class TrainingBenchmarkSettings:
    """One round runs before the `rounds` that count, to warm both up."""

    recipe: str = "synthetic"
    overrides: tuple[str, ...] = ()
    rounds: int = 5
    steps: int = 10


def run_training_benchmark(
    settings: TrainingBenchmarkSettings, progress: Progress
) -> dict[str, Any]:
    """Return the median seconds of a step of both, and how many times faster ours is.

    Raises:
        ConfigError: the recipe is wrong.
        InputError: its data can't be read.
    """
    from proxia_segmentation_ros.training.session import make_trainer

    recipe = make_timed_recipe(settings)
    ours_s: list[float] = []
    plain_s: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        PlainTrainingProcess(recipe, os.environ) as plain,
    ):
        trainer = make_trainer(recipe, Path(folder), lambda _row: None)
        progress.begin("training", settings.rounds + 1)
        for _ in range(settings.rounds + 1):
            ours_s.append(_time_trainer(trainer, settings.steps))
            plain_s.append(plain.time_steps(settings.steps))
            progress.advance()
    return summarize_training_rounds(recipe, ours_s[1:], plain_s[1:])


def make_timed_recipe(settings: TrainingBenchmarkSettings) -> "Recipe":
    """Return the recipe on the CPU, without validation and saving."""
    from proxia_segmentation_ros.training.recipe import load_recipe

    never = settings.steps * (settings.rounds + 1) + 1
    steps_only = [
        f"steps={never}",
        f"validate_every={never}",
        f"save_every={never}",
        f"data.synthetic_frames={SYNTHETIC_FRAMES}",
        "device=cpu",
    ]
    return load_recipe(settings.recipe, [*settings.overrides, *steps_only])


def summarize_training_rounds(
    recipe: "Recipe", ours_s: Sequence[float], plain_s: Sequence[float]
) -> dict[str, Any]:
    """Return the report; the ratio is the median of the rounds' ratios."""
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
    trainer.run(stop_step=trainer.step + steps, saves_at_stop=False)
    return (time.perf_counter() - began_s) / steps
