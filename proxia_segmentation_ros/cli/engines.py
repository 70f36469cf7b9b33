"""`proxia engines`: compiled networks on disk."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from proxia_segmentation_ros.cli.options import Backend, InModelScales, Precision, Weights

if TYPE_CHECKING:
    from proxia_segmentation_ros.apps.engines import EngineRow, PrunedFile
    from proxia_segmentation_ros.config import SizeHW

MIB = 1 << 20
DAY_S, HOUR_S, MINUTE_S = 86400, 3600, 60
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

app = typer.Typer(no_args_is_help=True)


@app.callback()
def engines() -> None:
    """List, build and delete compiled networks."""


@app.command("list")
def list_all(as_json: Json = False) -> None:
    """List compiled networks: of what, how large, and whether this machine can use them."""
    from proxia_segmentation_ros.apps.engines import list_engines
    from proxia_segmentation_ros.inference.engine_cache import find_folders

    rows = list_engines()
    if as_json:
        print(json.dumps([row.to_dict() for row in rows], indent=2))
        return
    if not rows:
        print(f"none in {' or '.join(map(str, find_folders()))}")
        return
    table: list[tuple[str, ...]] = [
        ("backend", "what", "weights", "precision", "shapes", "MiB", "age", "usable here")
    ]
    table += [describe_row(row) for row in rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print("  ".join(cells).rstrip())


@app.command("build")
def build(
    weights: Weights = "default",
    backend: Backend = "auto",
    precision: Precision = "auto",
    size: Annotated[str, typer.Option(help="Network size: card or WxH.")] = "card",
    scales: InModelScales = "",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 is the backend's choice.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Cameras that run together.")] = 1,
    image_size: Annotated[
        list[str] | None, typer.Option(help="Camera size WxH; may be given several times.")
    ] = None,
) -> None:
    """Compile ahead of time what a node with these settings needs."""
    from proxia_segmentation_ros.inference.engine_build import BuildOrder, build_engines

    order = BuildOrder(
        weights=weights,
        backend=backend,
        precision=precision,
        size=size,
        scales=read_scales(scales),
        threads=threads,
        batch=batch,
        image_sizes_hw=tuple(read_size(text) for text in image_size or ()),
    )
    built = build_engines(order, print)
    facts = f"{built.backend}, {built.precision}, on {built.device_name}"
    print(f"{facts}, up to {built.batch} together: {built.elapsed_s:.1f} s")


@app.command("prune")
def prune(
    older_than: Annotated[
        float | None, typer.Option(min=0, help="Days: delete usable ones of that age too.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete usable ones too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Delete compiled networks that this machine can't use, and what dead writers left."""
    from proxia_segmentation_ros.apps.engines import PruneSettings, prune_engines

    wanted = PruneSettings(older_than_days=older_than, everything=everything, is_dry_run=dry_run)
    gone = prune_engines(wanted, lambda one: print(describe_pruned(one)))
    freed_mib = sum(one.size_bytes for one in gone) / MIB
    print(f"{len(gone)} {'would go' if dry_run else 'deleted'}, {freed_mib:.1f} MiB")


def describe_row(row: "EngineRow") -> tuple[str, ...]:
    """Return a line of the table."""
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


def describe_pruned(one: "PrunedFile") -> str:
    """Return a line about an entry that goes."""
    return f"{one.path}: {one.reason}"


def read_scales(text: str) -> tuple[float, ...]:
    """Return comma-separated numbers.

    Raises:
        ConfigError: one is no number.
    """
    from proxia_segmentation_ros.errors import ConfigError

    try:
        return tuple(float(one) for one in text.split(",") if one.strip())
    except ValueError as error:
        raise ConfigError.from_parts(
            f"scales are {text!r}", "numbers with commas between", "write 0.5,1.0"
        ) from error


def read_size(text: str) -> "SizeHW":
    """Return a size of the form WxH.

    Raises:
        ConfigError: it is none.
    """
    from proxia_segmentation_ros.config import parse_size
    from proxia_segmentation_ros.errors import ConfigError

    size_hw = parse_size(text)
    if size_hw is None:
        raise ConfigError.from_parts(f"image size is {text!r}", "WxH", "write 640x480")
    return size_hw
