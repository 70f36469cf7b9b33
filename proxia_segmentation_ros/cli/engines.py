"""`proxia engines`: list, build and delete compiled networks."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from proxia_segmentation_ros.cli.options import (
    Backend,
    InModelScales,
    Precision,
    Weights,
    show_examples,
)

if TYPE_CHECKING:
    from proxia_segmentation_ros.apps.engines import EngineRow, PrunedFile
    from proxia_segmentation_ros.config import SizeHW

from proxia_segmentation_ros.cli.streams import print_line

MIB = 1 << 20
DAY_S, HOUR_S, MINUTE_S = 86400, 3600, 60
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

EXAMPLES = show_examples(
    "proxia engines list", "proxia engines build", "proxia engines prune --dry-run"
)

app = typer.Typer(no_args_is_help=True)


@app.callback()
def engines() -> None:
    """List, build and delete compiled networks on this machine."""


@app.command("list", epilog=show_examples("proxia engines list", "proxia engines list --json"))
def list_all(as_json: Json = False) -> None:
    """List compiled networks and whether they work on this machine.

    Each row also shows weights, precision, input size, size on disk and age.
    """
    from proxia_segmentation_ros.apps.engines import list_engines
    from proxia_segmentation_ros.inference.engine_cache import find_folders

    rows = list_engines()
    if as_json:
        print(json.dumps([row.to_dict() for row in rows], indent=2))
        return
    if not rows:
        print_line(f"none in {' or '.join(map(str, find_folders()))}")
        return
    table: list[tuple[str, ...]] = [
        ("backend", "what", "weights", "precision", "shapes", "MiB", "age", "usable here")
    ]
    table += [describe_row(row) for row in rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print_line("  ".join(cells).rstrip())


@app.command(
    "build",
    epilog=show_examples(
        "proxia engines build --weights default",
        "proxia engines build --backend tensorrt --size 512x288 --batch 2",
    ),
)
def build(
    weights: Weights = "default",
    backend: Backend = "auto",
    precision: Precision = "auto",
    size: Annotated[str, typer.Option(help="Input size of the network: card or WxH.")] = "card",
    scales: InModelScales = "",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 is the backend's choice.")] = 0,
    batch: Annotated[
        int, typer.Option(min=1, help="Number of cameras whose frames run together.")
    ] = 1,
    image_size: Annotated[
        list[str] | None, typer.Option(help="Camera resolution; can be repeated.", metavar="WxH")
    ] = None,
) -> None:
    """Compile a network before a node with these settings needs it."""
    from proxia_segmentation_ros.inference.engine_build import EngineBuildRequest, build_engines

    request = EngineBuildRequest(
        weights=weights,
        backend=backend,
        precision=precision,
        size=size,
        scales=read_scales(scales),
        threads=threads,
        batch=batch,
        image_sizes_hw=tuple(read_size(text) for text in image_size or ()),
    )
    built = build_engines(request, print)
    facts = f"{built.backend}, {built.precision}, on {built.device_name}"
    print_line(f"{facts}, up to {built.batch} together: {built.elapsed_s:.1f} s")


@app.command(
    "prune",
    epilog=show_examples("proxia engines prune --dry-run", "proxia engines prune --older-than 30"),
)
def prune(
    older_than: Annotated[
        float | None,
        typer.Option(min=0, help="Also delete usable networks older than this.", metavar="DAYS"),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also delete all usable networks.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be deleted, then stop.")
    ] = False,
) -> None:
    """Delete compiled networks that this machine can't use.

    Files left by an interrupted build are deleted too.
    """
    from proxia_segmentation_ros.apps.engines import PruneSettings, prune_engines

    wanted = PruneSettings(older_than_days=older_than, everything=everything, is_dry_run=dry_run)
    deleted = prune_engines(wanted, lambda file: print_line(describe_pruned(file)))
    freed_mib = sum(file.size_bytes for file in deleted) / MIB
    print_line(f"{len(deleted)} {'would be ' * dry_run}deleted, {freed_mib:.1f} MiB")


def describe_row(row: "EngineRow") -> tuple[str, ...]:
    """Return a row of the table."""
    return (
        row.entry.backend,
        row.what,
        row.weights,
        str(row.entry.made_of.get("precision", "")),
        row.shapes,
        f"{row.entry.size_bytes / MIB:.1f}",
        describe_age(row.entry.age_s),
        "; ".join(row.problems) or "yes",
    )


def describe_age(age_s: float) -> str:
    """Return an age in its largest unit."""
    for unit_s, unit in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min")):
        if age_s >= unit_s:
            return f"{age_s / unit_s:.0f} {unit}"
    return f"{age_s:.0f} s"


def describe_pruned(file: "PrunedFile") -> str:
    """Return a line about a deleted file."""
    return f"{file.path}: {file.reason}"


def read_scales(text: str) -> tuple[float, ...]:
    """Return comma-separated numbers.

    Raises:
        ConfigError: a part is not a number.
    """
    from proxia_segmentation_ros.errors import ConfigError

    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ConfigError.from_parts(
            f"scales are {text!r}", "numbers with commas between", "write 0.5,1.0"
        ) from error


def read_size(text: str) -> "SizeHW":
    """Return (height, width) of `WxH`.

    Raises:
        ConfigError: the text is no size.
    """
    from proxia_segmentation_ros.config import parse_size
    from proxia_segmentation_ros.errors import ConfigError

    size_hw = parse_size(text)
    if size_hw is None:
        raise ConfigError.from_parts(f"image size is {text!r}", "WxH", "write 640x480")
    return size_hw
