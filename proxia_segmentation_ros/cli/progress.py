"""Progress of long tasks as bars on stderr."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

REFRESH_HZ = 4


class Bars:
    """One bar for each stage; a stage ends when the next begins."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._total: int | None = None
        self._is_shown = False
        self._lock = threading.Lock()

    def begin(self, text: str, total: int | None = None) -> None:
        """Start a stage; without a total its bar is indeterminate."""
        with self._lock:
            self._end()
            if not self._is_shown:
                self._progress.start()
                self._is_shown = True
            self._task, self._total = self._progress.add_task(text, total=total), total

    def advance(self) -> None:
        """Count one item; can be called from any thread."""
        with self._lock:
            if self._task is not None:
                self._progress.advance(self._task)

    def close(self) -> None:
        """End the last stage and restore the terminal."""
        with self._lock:
            self._end()
            if self._is_shown:
                self._progress.stop()
                self._is_shown = False

    def _end(self) -> None:
        if self._task is not None:
            if self._total is None:
                self._progress.update(self._task, total=1, completed=1)
            self._progress.stop_task(self._task)
            self._task = None


@contextmanager
def show_progress(*, with_countdown: bool = False, is_quiet: bool = False) -> Iterator[Bars]:
    """Show progress bars from the first stage until the block ends.

    `with_countdown` also shows the remaining time. The bar then stays below the lines that a
    long task prints to stdout, and is hidden where stderr is no terminal. `is_quiet` hides it
    always, for all but the first of several processes.
    """
    columns: list[ProgressColumn] = [
        TextColumn("{task.description:<18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    if with_countdown:
        columns += [TextColumn("left"), TimeRemainingColumn()]
    console = Console(file=sys.stderr)
    bars = Bars(
        Progress(
            *columns,
            console=console,
            refresh_per_second=REFRESH_HZ,
            # rich must not move lines of a redirected stdout to the terminal.
            redirect_stdout=sys.stdout.isatty() or not with_countdown,
            disable=is_quiet or (with_countdown and not console.is_terminal),
        )
    )
    try:
        yield bars
    finally:
        bars.close()
