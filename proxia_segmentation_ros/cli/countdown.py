"""A bar on stderr with the time that is left, under lines that go to stdout."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from proxia_segmentation_ros.cli.progress import REFRESH_HZ, Bars


@contextmanager
def show_countdown() -> Iterator[Bars]:
    """Show bars from the first stage until the block ends; nothing where nobody watches."""
    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # A redirected stdout keeps its lines: rich would take them to the terminal's bar.
    progress = Progress(
        *columns,
        console=console,
        refresh_per_second=REFRESH_HZ,
        redirect_stdout=sys.stdout.isatty(),
        disable=not console.is_terminal,
    )
    bars = Bars(progress)
    try:
        yield bars
    finally:
        bars.close()
