"""`proxia segment`: segment images and write the results as files."""

# Parameters are read from the context, which knows which of them were typed.
# ruff: noqa: ARG001

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxia_segmentation_ros.apps.defaults import OUTPUT_KINDS, OVERLAY_ALPHA, TILE_THRESHOLD
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
    show_examples,
)
from proxia_segmentation_ros.cli.recipes import read_settings, read_typed

if TYPE_CHECKING:
    from proxia_segmentation_ros.apps.segment.run import FileCounts

# The exit code when some of the images failed.
from proxia_segmentation_ros.cli.streams import print_line

INCOMPLETE = 6
DEFAULT_WRITE = ",".join(OUTPUT_KINDS)

EXAMPLES = show_examples(
    "proxia segment photo.jpg -o results",
    "proxia segment images -o results --write composite --boxes --index",
    "proxia segment images -o results --write composite,errors --truth masks",
    "proxia segment --recipe dump_folder --set path=images -o results",
)

Write = Annotated[
    str,
    typer.Option(
        help="Outputs for each image, joined by commas: overlay, colored (class colours), labels "
        "(class ids), composite (image and overlay side by side, with the ground truth if given), "
        "errors (255 wrong, 127 ignored), confidence (255 is certain), confidence16 (65535 is "
        "certain), probabilities (of all classes, npz), attention (multi-scale networks), "
        "submission (label ids for the Cityscapes benchmark), autolabels (label ids and "
        "confidence to train on).",
        metavar="KINDS",
    ),
]
Truth = Annotated[
    Path | None,
    typer.Option(
        help="Ground-truth masks with the images' names, for errors and composite.",
        metavar="FOLDER|MASK",
    ),
]
MaskLabelSet = Annotated[
    str,
    typer.Option(
        help="Label set of the masks and of label ids to write: a shipped name or a YAML file."
    ),
]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Skip images whose outputs all exist.")
]
Index = Annotated[
    bool, typer.Option("--index", help="Also write index.html, a page with all pictures.")
]


def segment(
    context: typer.Context,
    path: Annotated[
        Path | None, typer.Argument(help="An image or a folder.", metavar="IMAGE_OR_FOLDER")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the files.")] = None,
    write: Write = DEFAULT_WRITE,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Include the folders below.")
    ] = False,
    skip_existing: SkipExisting = False,
    index: Index = False,
    weights: Weights = "default",
    backend: Backend = "auto",
    precision: Precision = "auto",
    size: NetworkSize = "card",
    scales: InModelScales = "",
    tile_threshold: TileThreshold = TILE_THRESHOLD,
    tile_budget: TileBudget = 1.0,
    exact: Exact = False,
    flip: Flip = False,
    average_scales: AverageScales = "1.0",
    window: Window = "",
    overlap: Overlap = 0.25,
    truth: Truth = None,
    label_set: MaskLabelSet = "",
    alpha: Annotated[
        float, typer.Option(help="Opacity of the class colours.", min=0, max=1)
    ] = OVERLAY_ALPHA,
    boxes: Annotated[bool, typer.Option(help="Draw the boxes of objects.")] = False,
    recipe: RecipeOption = "",
    assignments: Set = None,
    dry_run: DryRun = False,
) -> None:
    """Segment an image or a folder of images and write the results.

    Writes an overlay, class colours and class ids as PNG for each image, or what --write names.
    The exit code is 0 when every image was labelled, 6 when some failed and 3 when all failed;
    other files in the folder are skipped.
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
        counts = segment_files(settings, print_line, progress)
    print_line(describe_counts(counts, settings.out))
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
