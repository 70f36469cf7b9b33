"""`proxia benchmark`: what DDS adds to the bare model call, and what our training step saves."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from proxia_segmentation_ros.cli.options import Backend, Precision, Set, Weights, read_size
from proxia_segmentation_ros.errors import ConfigError

app = typer.Typer(invoke_without_command=True)


@app.callback()
def benchmark(
    context: typer.Context,
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
    if context.invoked_subcommand is not None:
        _refuse_options(context, context.invoked_subcommand)
        return
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
    _print_json(figures, out)


@app.command("train")
def train(
    recipe: Annotated[
        str, typer.Argument(help="Shipped name or YAML file of a recipe.")
    ] = "synthetic",
    assignments: Set = None,
    rounds: Annotated[int, typer.Option(help="Alternations that count.", min=1)] = 5,
    steps: Annotated[int, typer.Option(help="Steps of a round.", min=1)] = 10,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file to write as well."),
    ] = None,
) -> None:
    """Compare our training step with plain float32 PyTorch, on the CPU."""
    from proxia_segmentation_ros.apps.training_benchmark import (
        TrainingBenchmarkSettings,
        run_training_benchmark,
    )
    from proxia_segmentation_ros.cli.progress import show_progress
    from proxia_segmentation_ros.training.memory import keep_freed_memory

    keep_freed_memory()
    settings = TrainingBenchmarkSettings(
        recipe=recipe, overrides=tuple(assignments or ()), rounds=rounds, steps=steps
    )
    with show_progress() as progress:
        figures = run_training_benchmark(settings, progress)
    _print_json(figures, out)


def _refuse_options(context: typer.Context, subcommand: str) -> None:
    """Raise ConfigError where options of this benchmark stand before another's name."""
    sources = {one: context.get_parameter_source(one.name or "") for one in context.command.params}
    given = [one.opts[0] for one, how in sources.items() if how and how.name == "COMMANDLINE"]
    if given:
        raise ConfigError.from_parts(
            f"{given[0]} stands before {subcommand!r}, which would not see it",
            f"options of `proxia benchmark {subcommand}` after its name",
            "move or remove it",
        )


def _print_json(figures: dict[str, Any], out: Path | None) -> None:
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
