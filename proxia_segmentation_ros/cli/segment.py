"""`proxia segment`: images in, PNG files out."""

# The parameters are read off the context, which knows which of them were typed.
# ruff: noqa: ARG001

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxia_segmentation_ros.cli.options import (
    AverageScales,
    Backend,
    DryRun,
    Exact,
    Flip,
    InModelScales,
    NetworkSize,
    Overlap,
    Precision,
    RecipeOption,
    Set,
    TileBudget,
    TileThreshold,
    Weights,
    Window,
)
from proxia_segmentation_ros.cli.recipes import read_settings, read_typed

if TYPE_CHECKING:
    from proxia_segmentation_ros.apps.segment.run import FileCounts

# Some images failed, the others are there.
INCOMPLETE = 6

Write = Annotated[
    str,
    typer.Option(
        help="What to write of each image, joined by commas: overlay, colored, labels (class "
        "ids), composite (beside the image, with the truth if given), errors (255 wrong, 127 "
        "ignored), confidence (255 is certain), confidence16 (65535 is certain), probabilities "
        "(of all classes, npz), attention (multi-scale networks), submission (label ids for the "
        "Cityscapes benchmark), autolabels (label ids and confidence to train on).",
        metavar="KINDS",
    ),
]
Truth = Annotated[
    Path | None,
    typer.Option(help="Masks of the same names, for errors and composite.", metavar="FOLDER|MASK"),
]
MaskLabelSet = Annotated[
    str,
    typer.Option(help="Label set of masks and label ids: a shipped name or a YAML file."),
]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Go on: leave out images that are complete.")
]
Index = Annotated[bool, typer.Option("--index", help="A page of all pictures as well: index.html.")]


def segment(
    context: typer.Context,
    path: Annotated[
        Path | None, typer.Argument(help="An image or a folder.", metavar="IMAGE_OR_FOLDER")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the files.")] = None,
    write: Write = "overlay,colored,labels",
    recursive: Annotated[bool, typer.Option("--recursive", help="Folders below too.")] = False,
    skip_existing: SkipExisting = False,
    index: Index = False,
    weights: Weights = "default",
    backend: Backend = "auto",
    precision: Precision = "auto",
    size: NetworkSize = "card",
    scales: InModelScales = "",
    tile_threshold: TileThreshold = 0.04,
    tile_budget: TileBudget = 1.0,
    exact: Exact = False,
    flip: Flip = False,
    average_scales: AverageScales = "1.0",
    window: Window = "",
    overlap: Overlap = 0.25,
    truth: Truth = None,
    label_set: MaskLabelSet = "",
    alpha: Annotated[float, typer.Option(help="Weight of the colours.", min=0, max=1)] = 0.5,
    boxes: Annotated[bool, typer.Option(help="Draw the boxes of the objects.")] = False,
    recipe: RecipeOption = "",
    assignments: Set = None,
    dry_run: DryRun = False,
) -> None:
    """Write overlay, colours and class ids of each image as PNG, or what --write names.

    Ends with 0 when every image was labelled, whatever other files lie beside them, with 6 when
    some images failed and with 3 when all did.
    """
    _run(context)


def _run(context: typer.Context) -> None:
    from proxia_segmentation_ros.apps.segment.settings import SegmentSettings

    settings = read_settings(context, SegmentSettings, "segment", read_typed(context, {}))
    if settings is None:
        return
    from proxia_segmentation_ros.apps.segment.run import segment_files
    from proxia_segmentation_ros.cli.progress import show_progress

    with show_progress(with_countdown=True) as progress:
        counts = segment_files(settings, print, progress)
    print(describe_counts(counts, settings.out))
    if counts.failed:
        raise typer.Exit(INCOMPLETE)


def describe_counts(counts: "FileCounts", out: Path) -> str:
    """Return the last line of a run."""
    parts = [f"wrote {counts.written} files to {out}"]
    for count, text in (
        (counts.complete, "had their outputs"),
        (counts.failed, "failed"),
        (counts.other_files, "no images"),
    ):
        if count:
            parts.append(f"{count} {text}")
    return "; ".join(parts)
