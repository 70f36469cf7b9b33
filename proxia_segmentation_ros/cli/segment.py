"""`proxia segment`: images in, PNG files out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxia_segmentation_ros.cli.options import (
    AverageScales,
    Backend,
    InModelScales,
    Precision,
    Weights,
)

if TYPE_CHECKING:
    from proxia_segmentation_ros.apps.segment import Tally

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
    path: Annotated[Path, typer.Argument(help="An image or a folder.", metavar="IMAGE_OR_FOLDER")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the files.")],
    write: Write = "overlay,colored,labels",
    recursive: Annotated[bool, typer.Option("--recursive", help="Folders below too.")] = False,
    skip_existing: SkipExisting = False,
    index: Index = False,
    weights: Weights = "default",
    backend: Backend = "auto",
    precision: Precision = "auto",
    size: Annotated[str, typer.Option(help="Network's input: card, input or WxH.")] = "card",
    scales: InModelScales = "",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirror image.")] = False,
    average_scales: AverageScales = "1.0",
    truth: Truth = None,
    label_set: MaskLabelSet = "",
    alpha: Annotated[float, typer.Option(help="Weight of the colours.", min=0, max=1)] = 0.5,
    boxes: Annotated[bool, typer.Option(help="Draw the boxes of the objects.")] = False,
) -> None:
    """Write overlay, colours and class ids of each image as PNG, or what --write names.

    Ends with 0 when every image was labelled, whatever other files lie beside them, with 6 when
    some images failed and with 3 when all did.
    """
    from proxia_segmentation_ros.apps.dump_layout import parse_kinds
    from proxia_segmentation_ros.apps.segment import segment_files
    from proxia_segmentation_ros.apps.segment_settings import SegmentSettings
    from proxia_segmentation_ros.cli.progress import show_progress

    settings = SegmentSettings(
        path=path, out=out, kinds=parse_kinds(write),
        recursive=recursive, skip_existing=skip_existing, index=index,
        weights=weights, backend=backend, precision=precision, size=size,
        scales=_read_scales(scales),
        flip=flip, average_scales=_read_scales(average_scales),
        truth=truth, label_set=label_set, alpha=alpha, boxes=boxes,
    )  # fmt: skip
    with show_progress(with_countdown=True) as progress:
        tally = segment_files(settings, print, progress)
    print(describe_tally(tally, out))
    if tally.failed:
        raise typer.Exit(INCOMPLETE)


def _read_scales(text: str) -> tuple[float, ...]:
    """Read numbers joined by commas; the usual ones without torch, which takes its time."""
    if text in ("", "1.0"):
        return (1.0,) if text else ()
    from proxia_segmentation_ros.evaluation.averaging import parse_scales

    return parse_scales(text)


def describe_tally(tally: "Tally", out: Path) -> str:
    """Return the last line of a run."""
    parts = [f"wrote {tally.written} files to {out}"]
    for count, text in (
        (tally.complete, "had their outputs"),
        (tally.failed, "failed"),
        (tally.strangers, "no images"),
    ):
        if count:
            parts.append(f"{count} {text}")
    return "; ".join(parts)
