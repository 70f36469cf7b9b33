"""`proxia demo`: the whole path once, with pictures and figures."""

from pathlib import Path
from typing import Annotated, Any

import typer

from proxia_segmentation_ros.cli.options import Backend, StretchSize, Weights, read_size


def demo(
    source: Annotated[
        str, typer.Option(help="synthetic[:SEED], a video, an image or folder, a bag, /dev/videoN.")
    ] = "synthetic",
    out: Annotated[Path, typer.Option(help="Folder for pictures and figures.")] = Path(
        "build/demo"
    ),
    seconds: Annotated[float, typer.Option(help="Longest stream.", min=1, max=40)] = 15.0,
    truth: Annotated[
        Path | None,
        typer.Option(help="Folder of masks that belong to the source."),
    ] = None,
    size: StretchSize = "",
    weights: Weights = "default",
    backend: Backend = "auto",
) -> None:
    """Start the real node, play a camera to it and show what comes back."""
    from proxia_segmentation_ros.apps.demo.run import DemoSettings, run_demo
    from proxia_segmentation_ros.cli.progress import show_progress

    settings = DemoSettings(
        source=source or "synthetic",
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
        print(f"note: {remark}")
    for path in result.files:
        print(path)


def print_summary(summary: dict[str, Any]) -> None:
    """Print the figures as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, title="proxia demo")
    for name, value in summary.items():
        table.add_row(name, describe_value(value))
    Console().print(table)


def describe_value(value: Any) -> str:
    """Return one figure, or a group of them, as text."""
    if isinstance(value, dict):
        return "  ".join(f"{name} {describe_value(one)}" for name, one in value.items()) or "none"
    return "not known" if value is None else str(value)
