"""`proxia train`: weights from a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from proxia_segmentation_ros.cli.options import Set


def train(
    recipe: Annotated[str, typer.Argument(help="Shipped name or YAML file of a recipe.")],
    assignments: Set = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the run.")] = Path(
        "build/train"
    ),
    resume: Annotated[bool, typer.Option(help="Go on where the run in that folder ended.")] = False,
) -> None:
    """Train a network by a recipe."""
    from proxia_segmentation_ros.apps.node_arguments import parse_assignments
    from proxia_segmentation_ros.training import train_from_recipe

    values = parse_assignments(assignments or [])
    train_from_recipe(recipe, values, out=out, resume=resume)
