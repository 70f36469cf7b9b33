"""`proxia demo`: play a source to a real node, with pictures and figures of the results."""

from pathlib import Path
from typing import Annotated, Any

import typer

from proxia_segmentation_ros.apps.defaults import (
    DEMO_OUT,
    DEMO_SECONDS,
    MAX_DEMO_SECONDS,
    MIN_DEMO_SECONDS,
    SOURCE,
)
from proxia_segmentation_ros.cli.options import (
    SOURCE_HELP,
    Backend,
    ResizeTo,
    Weights,
    read_size,
    show_examples,
)
from proxia_segmentation_ros.cli.streams import print_line

EXAMPLES = show_examples(
    "proxia demo",
    "proxia demo --source drive.mp4 --out results",
    "proxia demo --source images --truth masks --weights synthetic",
)


def demo(
    source: Annotated[str, typer.Option(help=SOURCE_HELP)] = SOURCE,
    out: Annotated[Path, typer.Option(help="Folder for pictures and figures.")] = Path(DEMO_OUT),
    seconds: Annotated[
        float,
        typer.Option(help="Seconds to play at most.", min=MIN_DEMO_SECONDS, max=MAX_DEMO_SECONDS),
    ] = DEMO_SECONDS,
    truth: Annotated[
        Path | None,
        typer.Option(help="Folder of ground-truth masks for the source's images."),
    ] = None,
    size: ResizeTo = "",
    weights: Weights = "default",
    backend: Backend = "auto",
) -> None:
    """Play a source to a real node and draw the labels it sends back.

    Leaves a video, a contact sheet and a summary with rate, latency and objects.
    """
    from proxia_segmentation_ros.apps.demo.run import DemoSettings, run_demo
    from proxia_segmentation_ros.cli.progress import show_progress

    settings = DemoSettings(
        source=source or SOURCE,
        out=out,
        seconds=seconds,
        truth=truth,
        size_hw=read_size(size),
        weights=weights,
        backend=backend,
    )
    with show_progress() as progress:
        result = run_demo(settings, progress)
    print_summary(result.summary)
    for remark in result.remarks:
        print_line(f"note: {remark}")
    for path in result.files:
        print_line(str(path))


def print_summary(summary: dict[str, Any]) -> None:
    """Print the figures as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, title="proxia demo")
    for name, value in summary.items():
        table.add_row(name, describe_value(value))
    Console().print(table)


def describe_value(value: Any) -> str:
    """Return a figure, or a group of figures, as text."""
    if isinstance(value, dict):
        return "  ".join(f"{name} {describe_value(part)}" for name, part in value.items()) or "none"
    return "not known" if value is None else str(value)
