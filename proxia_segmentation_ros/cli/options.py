"""Options that several commands share, under the names of the node's parameters."""

from typing import TYPE_CHECKING, Annotated

import typer

from proxia_segmentation_ros.errors import ConfigError

if TYPE_CHECKING:
    from proxia_segmentation_ros.config import SizeHW

Weights = Annotated[
    str, typer.Option("--weights", help="Shipped name or path of the weights.", metavar="NAME|PATH")
]
Backend = Annotated[
    str, typer.Option("--backend", help="What runs the network: auto, openvino, tensorrt, torch.")
]
Precision = Annotated[
    str, typer.Option("--precision", help="Arithmetic: auto, f32, bf16, f16, int8.")
]
InModelScales = Annotated[
    str, typer.Option(help="In-model scales of a multi-scale network: 0.5,1.0; else its card's.")
]
TileThreshold = Annotated[
    float,
    typer.Option(help="Demand below which a tile of a larger scale is not run; 0 runs all."),
]
TileBudget = Annotated[
    float, typer.Option(help="Most work for scales but the smallest, as a share of all of it.")
]
AverageScales = Annotated[
    str, typer.Option(help="Average logits over image sizes, for example 0.5,1.0,2.0.")
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact/--no-exact", help="Label in PyTorch and float32, on a GPU if there is one."
    ),
]
Flip = Annotated[
    bool, typer.Option("--flip/--no-flip", help="Average with the mirror image's logits.")
]
Window = Annotated[
    str,
    typer.Option(
        help="See large images through windows of this size; with --size input.", metavar="WxH"
    ),
]
Overlap = Annotated[
    float, typer.Option(help="Least share of a window's side that neighbours overlap.")
]
NetworkSize = Annotated[
    str, typer.Option("--size", help="Network's input: card, input or WxH.", metavar="SIZE")
]
RecipeOption = Annotated[
    str,
    typer.Option("--recipe", help="Shipped name or YAML file of settings.", metavar="NAME|PATH"),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print every setting and its origin, and stop.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Set a value; may be given often.", metavar="NAME=VALUE"),
]

Source = Annotated[
    str, typer.Argument(help="synthetic[:SEED], a video, an image or folder, a bag, /dev/videoN.")
]
StretchSize = Annotated[str, typer.Option("--size", help="Stretch to WxH.", metavar="WxH")]


def read_size(text: str) -> "SizeHW | None":
    """Return (height, width) of WxH, None of nothing.

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
