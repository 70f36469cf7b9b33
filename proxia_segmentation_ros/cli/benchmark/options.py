"""Options of `proxia benchmark` that several of its commands share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxia_segmentation_ros.cli.benchmark.files import check_flame, check_out, check_plot
from proxia_segmentation_ros.cli.options import read_size
from proxia_segmentation_ros.errors import ConfigError

if TYPE_CHECKING:
    from proxia_segmentation_ros.benchmark.local import RoundSettings
    from proxia_segmentation_ros.benchmark.workers.variant_worker import BenchmarkImages

DEFAULT_RATES_HZ = (10.0, 30.0, 60.0)
PEAK_HZ = 0.0

Rates = Annotated[
    list[float] | None,
    typer.Option(
        "--rate", help="Frames a second of a camera; may be given often.", min=0.1, max=1000
    ),
]
Peak = Annotated[bool, typer.Option("--peak/--no-peak", help="Measure peak throughput too.")]
Rounds = Annotated[int, typer.Option(help="Interleaved rounds.", min=1)]
Seconds = Annotated[float, typer.Option(help="Seconds at each rate in a round.", min=0.1)]
ImageSize = Annotated[str, typer.Option("--size", help="Size of the images.", metavar="WxH")]
ImageSource = Annotated[
    str, typer.Option("--source", help="The images, as for `proxia play`.", metavar="SOURCE")
]
ImageCount = Annotated[
    int, typer.Option("--images", help="How many of the source's images are used.", min=1)
]
Out = Annotated[Path | None, typer.Option(help="JSON file to write.", callback=check_out)]
OutToo = Annotated[
    Path | None, typer.Option("--out", help="JSON file to write as well.", callback=check_out)
]
Saturate = Annotated[
    float,
    typer.Option(
        help="A camera's rate at peak; 0 is well above what the machine labels.", min=0, max=1000
    ),
]
Plot = Annotated[Path | None, typer.Option(help="PNG or SVG file to draw.", callback=check_plot)]
Flame = Annotated[
    Path | None,
    typer.Option(
        help="Profile of the node at peak by py-spy, and of the bare model beside it: .svg is a "
        "flame graph, .json is for speedscope.",
        callback=check_flame,
    ),
]
PrintJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def make_images(size: str, source: str, count: int) -> "BenchmarkImages":
    """Return the images that are labelled.

    Raises:
        ConfigError: the size is no size.
    """
    from proxia_segmentation_ros.benchmark.workers.variant_worker import BenchmarkImages

    size_hw = read_size(size) or BenchmarkImages.size_hw
    return BenchmarkImages(source=source, size_hw=size_hw, count=count)


def make_rounds(
    images: "BenchmarkImages", rates_hz: Sequence[float], peak: bool, rounds: int, seconds: float
) -> "RoundSettings":
    """Return rates, rounds and seconds; peak throughput comes first.

    Raises:
        ConfigError: there is nothing to measure.
    """
    from proxia_segmentation_ros.benchmark.local import RoundSettings

    chosen = (*((PEAK_HZ,) if peak else ()), *rates_hz)
    if not chosen:
        raise ConfigError.from_parts("there is no --rate and no --peak", "one of them", "give one")
    return RoundSettings(rates_hz=chosen, rounds=rounds, seconds=seconds, images=images)
