"""`proxia train`: train weights by a recipe."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from proxia_segmentation_ros.cli.options import DryRun, RecipeOption, Set, show_examples
from proxia_segmentation_ros.cli.recipes import is_first_process, show_settings
from proxia_segmentation_ros.cli.streams import print_line
from proxia_segmentation_ros.errors import ConfigError

StepCallback = Callable[[int, int], None]

EXAMPLES = show_examples(
    "proxia train camvid --set data.root=CAMVID --dry-run",
    "proxia train camvid --set data.root=CAMVID --smoke",
    "proxia train my_recipe.yaml -o runs/first --tensorboard",
    "proxia train my_recipe.yaml -o runs/first --resume",
)


def train(
    name: Annotated[
        str, typer.Argument(help="Recipe: a shipped name or a YAML file.", metavar="RECIPE")
    ] = "",
    recipe: RecipeOption = "",
    assignments: Set = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder of the run; by default runs/RECIPE.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue the run in that folder.")] = False,
    dry_run: DryRun = False,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Test the whole run in a few steps, in OUT-smoke.")
    ] = False,
    preview: Annotated[
        Path | None,
        typer.Option(
            help="Draw twelve training pairs with their labels, then stop.", metavar="FILE.png"
        ),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard event files.")
    ] = False,
) -> None:
    """Train a network by a recipe, on one or several processes.

    A recipe is a YAML file with the settings of a run; docs/training.md describes them. torchrun
    trains in several processes.
    """
    recipe = _choose_recipe(name, recipe)
    # OpenMP threads that spin while they wait would occupy cores that other programs need.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    overrides = list(assignments or [])
    if tensorboard:
        overrides.append("tensorboard=true")
    folder = out or Path("runs", Path(recipe).stem)
    if dry_run:
        _print_settings(recipe, overrides, smoke=smoke)
    elif preview is not None:
        _write_preview(recipe, overrides, preview)
    elif smoke:
        _run_smoke(recipe, overrides, folder, resume=resume)
    else:
        _run(recipe, overrides, folder, resume=resume)


def _choose_recipe(name: str, option: str) -> str:
    """Return the recipe, which may be named with or without `--recipe`."""
    if bool(name) == bool(option):
        given = f"recipes {name!r} and {option!r} are both given" if name else "no recipe is given"
        raise ConfigError.from_parts(
            given, "one recipe", "write for example proxia train --recipe camvid"
        )
    return name or option


def _print_settings(recipe: str, overrides: list[str], *, smoke: bool) -> None:
    from proxia_segmentation_ros.training.recipe import explain_recipe, load_recipe
    from proxia_segmentation_ros.training.smoke import make_smoke_overrides

    short = make_smoke_overrides(load_recipe(recipe, overrides)) if smoke else []
    show_settings(explain_recipe(recipe, overrides, short))


def _write_preview(recipe: str, overrides: list[str], path: Path) -> None:
    from proxia_segmentation_ros.apps.training_preview import write_preview
    from proxia_segmentation_ros.labels import load_label_set
    from proxia_segmentation_ros.training.recipe import load_recipe
    from proxia_segmentation_ros.training.sources import list_training_label_problems

    chosen = load_recipe(recipe, overrides)
    label_set = load_label_set(chosen.data.label_set)
    for problem in list_training_label_problems(chosen.data, label_set):
        print_line(f"note {problem}")
    count = write_preview(chosen, path)
    print_line(f"{count} training pairs: {path}")


def _run_smoke(recipe: str, overrides: list[str], folder: Path, *, resume: bool) -> None:
    if resume:
        raise ConfigError.from_parts(
            "--smoke and --resume are both given",
            "one of them: a smoke run starts anew and resumes itself on the way",
            "leave --resume away",
        )
    from proxia_segmentation_ros.training.smoke import SMOKE_SUFFIX, run_smoke

    path = run_smoke(
        recipe, overrides, out=folder.with_name(folder.name + SMOKE_SUFFIX), report=_print_row
    )
    if is_first_process():
        print_line(f"smoke run passed; its weights are not usable: {path}")


def _run(recipe: str, overrides: list[str], folder: Path, *, resume: bool) -> None:
    from proxia_segmentation_ros.training import train_from_recipe
    from proxia_segmentation_ros.training.memory import keep_freed_memory
    from proxia_segmentation_ros.training.trainer import StopRequest

    keep_freed_memory()
    with show_steps() as (on_step, report_centroids), stop_on_interrupt(on_step) as on_step_or_stop:
        try:
            path = train_from_recipe(
                recipe,
                overrides,
                out=folder,
                resume=resume,
                report=_print_row,
                on_step=on_step_or_stop,
                report_centroids=report_centroids,
            )
        except StopRequest:
            print_line(f"stopped and saved in {folder}; --resume goes on from here")
            raise KeyboardInterrupt from None
    if is_first_process():
        print_line(f"best weights: {path}")


@contextmanager
def stop_on_interrupt(on_step: StepCallback) -> Iterator[StepCallback]:
    """Let the first Ctrl-C stop the run after its step, with a checkpoint; a second stops at once.

    Several processes would stop at different steps, so there every Ctrl-C stops at once.
    """
    if "WORLD_SIZE" in os.environ:
        yield on_step
        return
    from proxia_segmentation_ros.training.trainer import StopRequest

    is_stopped = threading.Event()

    def request(_signal_number: int, _frame: FrameType | None) -> None:
        is_stopped.set()
        signal.signal(signal.SIGINT, before)
        print("stopping after this step; Ctrl-C again stops at once", file=sys.stderr)

    def on_step_or_stop(step: int, steps: int) -> None:
        on_step(step, steps)
        if is_stopped.is_set():
            raise StopRequest

    before = signal.signal(signal.SIGINT, request)
    try:
        yield on_step_or_stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def show_steps() -> Iterator[tuple[StepCallback, StepCallback]]:
    """Show a progress bar of the steps on a terminal; log rows are printed above it.

    The second callback drives a bar of its own: the images whose centroids have been found.
    """
    if not (is_first_process() and sys.stdout.isatty()):
        yield _show_nothing, _show_nothing
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    times = (TimeElapsedColumn(), TextColumn("remaining"), TimeRemainingColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *times)
    with Progress(*columns) as progress:
        task = progress.add_task("step", total=None)
        centroids = progress.add_task("centroids", visible=False)
        has_begun = False

        def count_centroids(done: int, total: int) -> None:
            progress.update(centroids, total=total, completed=done, visible=done < total)

        def on_step(step: int, steps: int) -> None:
            nonlocal has_begun
            if not has_begun:
                # The time of a resumed run counts from its own first step.
                progress.reset(task, total=steps, completed=step - 1)
                has_begun = True
            progress.update(task, completed=step)

        yield on_step, count_centroids


def _show_nothing(_done: int, _total: int) -> None:
    """Ignore progress: in a log file bars would be noise."""


def _print_row(row: dict[str, Any]) -> None:
    shown = [f"{name} {value}" for name, value in row.items() if not isinstance(value, list)]
    print("  ".join(shown), flush=True)
