"""`proxia convert`: another system's checkpoint becomes a weight file of ours."""

from pathlib import Path
from typing import Annotated

import typer

from proxia_segmentation_ros.cli.options import read_size
from proxia_segmentation_ros.errors import ConfigError

LabelSetName = Annotated[
    str, typer.Option(help="Classes: a shipped name or a YAML file; else the checkpoint's.")
]
Size = Annotated[str, typer.Option(help="Input that it was trained for.", metavar="WxH")]
Scores = Annotated[
    list[str] | None,
    typer.Option("--score", help="A figure for the card; may be given often.", metavar="NAME=X"),
]


def convert(
    source: Annotated[Path, typer.Argument(help="Checkpoint: .pth, .pt, .tar.", metavar="SOURCE")],
    out: Annotated[Path, typer.Argument(help="File to write: .safetensors.", metavar="OUT")],
    to_name: Annotated[str, typer.Option(help="Name on the card; else OUT's.")] = "",
    label_set: LabelSetName = "",
    size: Size = "",
    training_data: Annotated[str, typer.Option(help="What it was trained on.")] = "",
    terms: Annotated[str, typer.Option(help="Under which terms it may be used.")] = "",
    scores: Scores = None,
    half: Annotated[bool, typer.Option("--half", help="Half the size, in float16.")] = False,
) -> None:
    """Convert a checkpoint of the reference system or of mmsegmentation (OCRNet on HRNet)."""
    from proxia_segmentation_ros.apps.weights.conversion import (
        ConversionSettings,
        convert_weights,
    )

    settings = ConversionSettings(
        source=source,
        out=out,
        name=to_name,
        label_set=label_set,
        size_hw=read_size(size),
        training_data=training_data,
        terms=terms,
        scores=tuple(read_score(text) for text in scores or ()),
        half=half,
    )
    card = convert_weights(settings)
    height, width = card.size_hw
    print(f"{out}: {card.name}, {card.architecture}, input {width}x{height}")
    print(f"classes: {len(card.label_set.classes)} of {card.label_set.name}")
    print(f"trained on: {card.training_data}")
    print(f"terms: {card.terms}")


def read_score(text: str) -> tuple[str, float]:
    """Return the name and the figure of NAME=X.

    Raises:
        ConfigError: the text is something else.
    """
    name, _, figure = text.partition("=")
    try:
        if name.strip():
            return name.strip(), float(figure)
    except ValueError:
        # Told below, as a text without a name is.
        pass
    raise ConfigError.from_parts(
        f"--score is {text!r}", "NAME=X such as cityscapes_val_miou=0.78", "correct it"
    )
