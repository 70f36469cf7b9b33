"""The log of a run: JSON lines, truncated to the checkpoint when a run is resumed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proxia_segmentation_ros.atomic_file import write_file_atomically
from proxia_segmentation_ros.parsing import parse_json
from proxia_segmentation_ros.training.logs.event_files import (
    EventFiles,
    NoEventFiles,
    TensorBoardFiles,
)

LOG_NAME = "log.jsonl"
Row = dict[str, Any]
Report = Callable[[Row], None]


class RunLog:
    """Writes rows to the log in `folder` and passes them to `report`, unless it is silent."""

    def __init__(
        self,
        folder: Path,
        report: Report,
        *,
        is_silent: bool = False,
        with_event_files: bool = False,
    ) -> None:
        self._path = folder / LOG_NAME
        self._report = report
        self._is_silent = is_silent
        self._events: EventFiles = NoEventFiles()
        self._with_event_files = with_event_files and not is_silent

    def begin(self, step: int) -> None:
        """Remove the rows after `step` that a killed run left, and open event files if requested.

        Raises:
            ConfigError: the package tensorboard is missing.
        """
        self.cut(step)
        if self._with_event_files:
            self._events.close()
            self._events = TensorBoardFiles(self._path.parent / "tensorboard", step)

    def end(self) -> None:
        """Finish the event files."""
        self._events.close()

    def add(self, row: Row) -> None:
        """Append a row."""
        if self._is_silent:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._events.add_row(row)
        self._report(row)

    def cut(self, step: int) -> None:
        """Remove the rows after `step`, which will be repeated, and an incomplete last line."""
        if self._is_silent or not self._path.exists():
            return
        lines = self._path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if _read_step(line) <= step]
        write_file_atomically(self._path, "".join(f"{line}\n" for line in kept).encode())


def _read_step(line: str) -> float:
    """Return the step of a row, infinity for a line that is no row."""
    try:
        return float(parse_json(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
