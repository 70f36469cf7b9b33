"""TensorBoard event files of a run, written by the optional package `tensorboard`."""

from pathlib import Path
from typing import Any, Protocol

from proxia_segmentation_ros.errors import ConfigError


class EventFiles(Protocol):
    """A second destination for the numbers of log rows."""

    def add_row(self, row: dict[str, Any]) -> None:
        """Write every number of a row at its step."""

    def close(self) -> None:
        """Finish the file."""


class TensorBoardFiles:
    """Event files in `folder`; what earlier files hold after `step` is discarded."""

    def __init__(self, folder: Path, step: int) -> None:
        """Open a file.

        Raises:
            ConfigError: the package tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError.from_parts(
                "recipe setting tensorboard is true, and the Python package tensorboard is missing",
                "that package, or tensorboard=false",
                "run `pip install tensorboard`, or train without --tensorboard",
            ) from error
        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def add_row(self, row: dict[str, Any]) -> None:
        """Write every number of a row at its step: scores under `val/`, others under `train/`."""
        part = "val" if "val_miou" in row else "train"
        for name, value in row.items():
            if name != "step" and isinstance(value, int | float):
                self._writer.add_scalar(f"{part}/{name}", value, row["step"])
        # A killed process would lose unflushed rows.
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


class NoEventFiles:
    """Ignores all rows."""

    def add_row(self, row: dict[str, Any]) -> None:
        """Ignore the row."""

    def close(self) -> None:
        """Do nothing."""
