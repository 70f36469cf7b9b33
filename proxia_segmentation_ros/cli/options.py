"""Options that several commands share, under the names of the node's parameters."""

from typing import TYPE_CHECKING, Annotated

import typer

from proxia_segmentation_ros.errors import ConfigError

if TYPE_CHECKING:
    from proxia_segmentation_ros.config import SizeHW

Weights = Annotated[
    str,
    typer.Option(
        "--weights", help="Weights: a name of `proxia weights list` or a path.", metavar="NAME|PATH"
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        "--backend", help="Library that runs the network: auto, openvino, tensorrt or torch."
    ),
]
Precision = Annotated[
    str, typer.Option("--precision", help="Number format: auto, f32, bf16, f16 or int8.")
]
InModelScales = Annotated[
    str,
    typer.Option(
        help="Scales of a multi-scale network, such as 0.5,1.0; by default those of its card."
    ),
]
TileThreshold = Annotated[
    float,
    typer.Option(
        help="Skip tiles of the larger scales whose expected gain is below this; 0 runs all."
    ),
]
TileBudget = Annotated[
    float, typer.Option(help="Share of the larger scales' work that may be done, 0 to 1.")
]
AverageScales = Annotated[
    str, typer.Option(help="Average the logits over these image scales, such as 0.5,1.0,2.0.")
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact/--no-exact", help="Compute in PyTorch and float32, on a GPU if there is one."
    ),
]
Flip = Annotated[
    bool,
    typer.Option("--flip/--no-flip", help="Average the logits of the image and its mirror image."),
]
Window = Annotated[
    str,
    typer.Option(
        help="Cut large images into overlapping windows of this size; needs --size input.",
        metavar="WxH",
    ),
]
Overlap = Annotated[
    float, typer.Option(help="Overlap of neighbouring windows, as a share of their side.")
]
NetworkSize = Annotated[
    str,
    typer.Option(
        "--size", help="Input size of the network: card, input or WxH.", metavar="card|input|WxH"
    ),
]
RecipeOption = Annotated[
    str,
    typer.Option(
        "--recipe", help="Recipe with settings: a shipped name or a YAML file.", metavar="NAME|PATH"
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print every setting and where it was set, then stop.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Set a value; can be repeated.", metavar="NAME=VALUE"),
]

SOURCE_HELP = "synthetic[:SEED], a video, an image, a folder of images, a bag or /dev/videoN."
Source = Annotated[str, typer.Argument(help=SOURCE_HELP)]
ResizeTo = Annotated[str, typer.Option("--size", help="Resize frames to this size.", metavar="WxH")]


def show_examples(*commands: str) -> str:
    r"""Return the text below a command's options; `\b` keeps click from joining the lines."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def read_size(text: str) -> "SizeHW | None":
    """Return (height, width) of `WxH`, None of an empty text.

    Raises:
        ConfigError: the text is no size.
    """
    if not text:
        return None
    from proxia_segmentation_ros.config import parse_size

    size_hw = parse_size(text)
    if size_hw is None:
        raise ConfigError.from_parts(f"--size is {text!r}", "WxH such as 480x360", "correct it")
    return size_hw
