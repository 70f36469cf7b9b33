"""`proxia evaluate`: score weights on images with masks."""

import json
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
    from proxia_segmentation_ros.apps.score import Score


def evaluate(
    images: Annotated[Path, typer.Argument(help="Folder of images.")],
    labels: Annotated[Path, typer.Argument(help="Folder of masks of the same names.")],
    weights: Weights = "default",
    label_set: Annotated[
        str, typer.Option(help="Label set of the masks: a shipped name or a YAML file.")
    ] = "camvid",
    backend: Backend = "auto",
    precision: Precision = "auto",
    size: Annotated[str, typer.Option(help="Network's input: card, input or WxH.")] = "card",
    scales: InModelScales = "",
    flip: Annotated[bool, typer.Option(help="Average with the mirror image's logits.")] = False,
    average_scales: AverageScales = "1.0",
    boundary: Annotated[
        float,
        typer.Option(help="Score outlines too, found within so many pixels (or diagonals)."),
    ] = 0.0,
    out: Annotated[Path | None, typer.Option(help="JSON file to write as well.")] = None,
) -> None:
    """Print IoU of each class and their mean."""
    from proxia_segmentation_ros.apps.score import score
    from proxia_segmentation_ros.apps.score_settings import ScoreData, ScoreSettings
    from proxia_segmentation_ros.cli.progress import show_progress
    from proxia_segmentation_ros.evaluation.averaging import parse_scales

    settings = ScoreSettings(
        data=ScoreData(images=str(images), labels=str(labels), label_set=label_set),
        weights=weights,
        backend=backend,
        precision=precision,
        size=size,
        scales=parse_scales(scales) if scales else (),
        flip=flip,
        average_scales=parse_scales(average_scales),
        boundary=boundary,
    )
    with show_progress() as progress:
        _show(score(settings, progress), out)


def _show(score: "Score", out: Path | None) -> None:
    print(score.to_text())
    text = json.dumps(score.to_dict(), indent=2)
    print(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n", encoding="utf-8")
