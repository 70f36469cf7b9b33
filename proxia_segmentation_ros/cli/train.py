"""`proxia train`: weights from a recipe."""

from pathlib import Path
from typing import Annotated, Any

import typer

from proxia_segmentation_ros.cli.options import Set


def train(
    recipe: Annotated[str, typer.Argument(help="Shipped name or YAML file of a recipe.")],
    assignments: Set = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder of the run; else runs/RECIPE.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on where the run in that folder ended.")] = False,
) -> None:
    """Train a network by a recipe."""
    from proxia_segmentation_ros.training import train_from_recipe
    from proxia_segmentation_ros.training.memory import keep_freed_memory

    keep_freed_memory()
    folder = out or Path("runs", Path(recipe).stem)
    path = train_from_recipe(
        recipe, assignments or [], out=folder, resume=resume, report=_print_row
    )
    print(f"best weights: {path}")


def _print_row(row: dict[str, Any]) -> None:
    shown = [f"{name} {value}" for name, value in row.items() if not isinstance(value, list)]
    print("  ".join(shown), flush=True)
