"""`proxia benchmark`: what DDS adds to the bare model call."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from proxia_segmentation_ros.cli.options import Backend, Precision, Weights, read_size


def benchmark(
    weights: Weights = "default",
    backend: Backend = "auto",
    precision: Precision = "auto",
    size: Annotated[str, typer.Option(help="Size of the images.", metavar="WxH")] = "480x360",
    rate: Annotated[float, typer.Option(help="Frames a second.", min=0.1, max=1000)] = 5.0,
    rounds: Annotated[int, typer.Option(help="Alternations.", min=1)] = 5,
    frames: Annotated[int, typer.Option(help="Frames of a round.", min=2)] = 30,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file to write as well."),
    ] = None,
) -> None:
    """Compare frame in to labels out through DDS with the bare model call."""
    from proxia_segmentation_ros.apps.benchmark import BenchmarkSettings, run_benchmark
    from proxia_segmentation_ros.cli.progress import show_progress

    settings = BenchmarkSettings(
        weights=weights,
        backend=backend,
        precision=precision,
        size_hw=read_size(size) or BenchmarkSettings.size_hw,
        rate_hz=rate,
        rounds=rounds,
        frames=frames,
    )
    with show_progress() as progress:
        figures = run_benchmark(settings, progress)
    _print_figures(figures)
    text = json.dumps(figures, indent=2)
    print(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n", encoding="utf-8")


def _print_figures(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "median ms", "p95 ms", title=f"{figures['size']}, {figures['frames']} frames")
    rows = (("frame in to labels out, DDS", "dds_ms"), ("bare model call", "bare_ms"))
    for name, key in rows:
        table.add_row(name, str(figures[key]["p50"]), str(figures[key]["p95"]))
    table.add_row("DDS adds", f"{figures['overhead_percent']} %", "")
    Console().print(table)
