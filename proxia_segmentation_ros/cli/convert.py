"""`proxia convert`: convert a checkpoint of another project to a weight file."""

from pathlib import Path
from typing import Annotated

import typer

from proxia_segmentation_ros.cli.options import read_size, show_examples
from proxia_segmentation_ros.cli.streams import print_line
from proxia_segmentation_ros.errors import ConfigError

EXAMPLES = show_examples(
    "proxia convert checkpoint.pth weights.safetensors",
    "proxia convert checkpoint.pth city.safetensors --label-set cityscapes --half",
)

LabelSetName = Annotated[
    str,
    typer.Option(help="Label set: a shipped name or a YAML file; by default the checkpoint's."),
]
Size = Annotated[
    str, typer.Option(help="Input size that the network was trained for.", metavar="WxH")
]
Scores = Annotated[
    list[str] | None,
    typer.Option("--score", help="A score for the card; can be repeated.", metavar="NAME=X"),
]


def convert(
    source: Annotated[
        Path, typer.Argument(help="Checkpoint: .pth, .pt or .tar.", metavar="SOURCE")
    ],
    out: Annotated[Path, typer.Argument(help="File to write: .safetensors.", metavar="OUT")],
    to_name: Annotated[str, typer.Option(help="Name in the card; by default that of OUT.")] = "",
    label_set: LabelSetName = "",
    size: Size = "",
    training_data: Annotated[str, typer.Option(help="Training data, for the card.")] = "",
    terms: Annotated[str, typer.Option(help="Terms of use, for the card.")] = "",
    scores: Scores = None,
    half: Annotated[
        bool, typer.Option("--half", help="Store float16, which halves the file.")
    ] = False,
) -> None:
    """Convert a checkpoint of another project to a weight file.

    Reads HRNet-OCR networks of NVIDIA/semantic-segmentation and of mmsegmentation.
    """
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
    print_line(f"{out}: {card.name}, {card.architecture}, input {width}x{height}")
    print_line(f"classes: {len(card.label_set.classes)} of {card.label_set.name}")
    print_line(f"trained on: {card.training_data}")
    print_line(f"terms: {card.terms}")


def read_score(text: str) -> tuple[str, float]:
    """Return the name and the number of NAME=X.

    Raises:
        ConfigError: the text has another form.
    """
    name, _, figure = text.partition("=")
    try:
        if name.strip():
            return name.strip(), float(figure)
    except ValueError:
        # Reported below, like a text without a name.
        pass
    raise ConfigError.from_parts(
        f"--score is {text!r}", "NAME=X such as cityscapes_val_miou=0.78", "correct it"
    )
