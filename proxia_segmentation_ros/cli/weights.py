"""`proxia weights`: list, show and download weights."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxia_segmentation_ros.cli.options import show_examples

if TYPE_CHECKING:
    from proxia_segmentation_ros.apps.weights.listing import WeightsRow

from proxia_segmentation_ros.cli.streams import print_line

STATES = {
    "shipped": "ships with the package",
    "here": "downloaded",
    "download": "not downloaded: run proxia weights download {name}",
    "by hand": "to download by hand: proxia weights download {name} says how",
    "file": "a file of yours",
}
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

EXAMPLES = show_examples(
    "proxia weights list", "proxia weights show default", "proxia weights download NAME"
)

app = typer.Typer(no_args_is_help=True)


@app.callback()
def weights() -> None:
    """List, show and download weights by name."""


@app.command("list", epilog=show_examples("proxia weights list", "proxia weights list --json"))
def list_names(as_json: Json = False) -> None:
    """List the names that --weights takes, with their state."""
    from proxia_segmentation_ros.apps.weights.listing import list_weights

    rows = list_weights()
    if as_json:
        print(json.dumps([to_dict(row) for row in rows], indent=2))
        return
    table = [("name", "is", "architecture", "classes", "input", "score")]
    table += [
        (
            row.name,
            row.state,
            row.architecture,
            f"{row.classes} {row.label_set}",
            describe_size(row),
            describe_first_score(row),
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print_line("  ".join(cells).rstrip())


@app.command(
    "show",
    epilog=show_examples(
        "proxia weights show default --cost", "proxia weights show my.safetensors"
    ),
)
def show(
    name: Annotated[str, typer.Argument(help="A name of the list, or the path of a weight file.")],
    as_json: Json = False,
    cost: Annotated[
        bool, typer.Option("--cost", help="Also count parameters and multiply-adds per image.")
    ] = False,
) -> None:
    """Show the scores, terms, origin and file of weights."""
    from proxia_segmentation_ros.apps.weights.listing import describe_weights

    row = describe_weights(name)
    shown = to_dict(row)
    if cost:
        shown |= count_cost(name)
    if as_json:
        print(json.dumps(shown, indent=2))
        return
    shown["is"] = STATES[row.state].format(name=row.name)
    if cost:
        shown["multiply_adds"] = f"{shown['multiply_adds'] / 1e9:.2f} G an image of that input"
    shown["scores"] = ", ".join(f"{key} {value:g}" for key, value in row.scores.items())
    for key, value in shown.items():
        if value not in (None, ""):
            print_line(f"{key:<14} {value}")


@app.command(
    "download",
    epilog=show_examples(
        "proxia weights download NAME", "proxia weights download NAME --file checkpoint.pth"
    ),
)
def download(
    name: Annotated[str, typer.Argument(help="A name of the list.")],
    file: Annotated[
        Path | None, typer.Option(help="Use this checkpoint, downloaded by other means.")
    ] = None,
) -> None:
    """Download published weights, verify and convert them.

    A download that was interrupted continues where it stopped.
    """
    from proxia_segmentation_ros.apps.weights.listing import describe_weights, download_weights
    from proxia_segmentation_ros.cli.progress import show_progress

    with show_progress() as progress:
        path = download_weights(name, progress, file)
    row = describe_weights(name)
    print_line(f"{path}: {row.architecture}, {row.classes} classes of {row.label_set}")
    print_line(f"terms: {row.terms}")
    print_line(f"use it as: --weights {name}")


def count_cost(name: str) -> dict[str, Any]:
    """Return parameters and multiply-adds for an image of the card's size."""
    from proxia_segmentation_ros.apps.weights.listing import measure_weights_cost

    cost = measure_weights_cost(name)
    return {"parameters": cost.parameters, "multiply_adds": cost.multiply_adds}


def describe_size(row: "WeightsRow") -> str:
    """Return the network's input as WxH."""
    return f"{row.size_hw[1]}x{row.size_hw[0]}"


def describe_first_score(row: "WeightsRow") -> str:
    """Return the first score of the card and its name."""
    return next((f"{value:.4g} {key}" for key, value in row.scores.items()), "")


def to_dict(row: "WeightsRow") -> dict[str, Any]:
    """Return the row together with its catalogue entry."""
    entry = row.entry
    return {
        "name": row.name,
        "is": row.state,
        "architecture": row.architecture,
        "parameters": entry.parameters if entry else None,
        "classes": row.classes,
        "label_set": row.label_set,
        "input": describe_size(row),
        "trained_on": row.training_data,
        "scores": row.scores,
        "terms": row.terms,
        "page": entry.page if entry else None,
        "file": entry.file if entry else None,
        "url": entry.url if entry else None,
        "sha256": entry.sha256 if entry else None,
        "path": str(row.path) if row.path else None,
    }
