"""A smoke run: a minute or less that goes through all parts of a training run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.training.recipe import load_recipe
from proxia_segmentation_ros.training.settings import Recipe

SMOKE_SUFFIX = "-smoke"
SMOKE_PAIRS = 8
# Files of a run, which the next smoke run in the same folder replaces.
RUN_FILES = ("last.pt", "best.pt", "log.jsonl")


def make_smoke_overrides(recipe: Recipe) -> list[str]:
    """Return the settings that shorten a recipe and mark its weights as unusable."""
    height, width = (min(side, 64) for side in recipe.augmentation.crop_hw)
    frame_height, frame_width = (min(side, 96) for side in recipe.data.synthetic_size_hw)
    # Finding the centroids of a large data set would take minutes.
    limit = min(recipe.data.train_limit or SMOKE_PAIRS, SMOKE_PAIRS)
    return [
        f"model.name={recipe.model.name}{SMOKE_SUFFIX}",
        "model.training_data=a smoke run of a few steps, not usable",
        "model.size_hw=[64, 96]",
        f"augmentation.crop_hw=[{height}, {width}]",
        f"data.synthetic_size_hw=[{frame_height}, {frame_width}]",
        "data.synthetic_frames=8",
        *([f"data.train_limit={limit}"] if recipe.data.folder_weight > 0 else []),
        "optimiser.warmup_steps=2",
        "steps=4",
        "batch_size=2",
        f"accumulate={min(recipe.accumulate, 2)}",
        "validate_every=2",
        "validate_limit=2",
        "save_every=2",
        "class_share_pairs=4",
    ]


def run_smoke(
    name_or_path: str | Path,
    overrides: Sequence[str],
    *,
    out: Path,
    report: Callable[[dict[str, Any]], None],
) -> Path:
    """Train two steps, resume for two more, and load the weights that were written.

    `out` must end in `-smoke`: files of an earlier smoke run there are overwritten.

    Raises:
        ConfigError: the recipe is wrong, or `out` has another name.
        InputError: training data can't be read.
        WeightsError: the written weights can't be read.
    """
    from proxia_segmentation_ros.model.checkpoint import load_weights
    from proxia_segmentation_ros.training.distributed.process_group import (
        get_rank,
        open_process_group,
        wait_at_barrier,
    )
    from proxia_segmentation_ros.training.session import (
        check_data,
        make_trainer,
        train_from_recipe,
    )

    if not out.name.endswith(SMOKE_SUFFIX):
        raise ConfigError.from_parts(
            f"the folder of a smoke run is {str(out)!r}",
            f"a name that ends in {SMOKE_SUFFIX}",
            "name such a folder",
        )
    recipe = load_recipe(name_or_path, overrides)
    short = [*overrides, *make_smoke_overrides(recipe)]
    with open_process_group(recipe.device):
        if get_rank() == 0:
            for name in RUN_FILES:
                (out / name).unlink(missing_ok=True)
        wait_at_barrier()
        check_data(recipe, report)
        make_trainer(load_recipe(name_or_path, short), out, report).run(stop_step=2)
        wait_at_barrier()
        path = train_from_recipe(name_or_path, short, out=out, resume=True, report=report)
        if get_rank() == 0:
            load_weights(path)
    return path
