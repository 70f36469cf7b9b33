"""`proxia segment`: images in, PNG files out."""

from pathlib import Path
from typing import Annotated

import typer

from proxia_segmentation_ros.cli.options import Backend, Precision, Weights


def segment(
    path: Annotated[Path, typer.Argument(help="An image or a folder.", metavar="IMAGE_OR_FOLDER")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the PNG files.")],
    weights: Weights = "default",
    backend: Backend = "auto",
    precision: Precision = "auto",
    size: Annotated[str, typer.Option(help="Network's input: card, input or WxH.")] = "card",
    alpha: Annotated[float, typer.Option(help="Weight of the colours.", min=0, max=1)] = 0.5,
    boxes: Annotated[bool, typer.Option(help="Draw the boxes of the objects.")] = False,
) -> None:
    """Write overlay, colours and class ids of each image as PNG."""
    from proxia_segmentation_ros.apps.segment import SegmentSettings, segment_files

    settings = SegmentSettings(
        path=path,
        out=out,
        weights=weights,
        backend=backend,
        precision=precision,
        size=size,
        alpha=alpha,
        boxes=boxes,
    )
    count = segment_files(settings, print)
    print(f"wrote {3 * count} files to {out}")
