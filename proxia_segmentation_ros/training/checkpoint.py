"""Checkpoints from which a run can be resumed, written atomically."""

from pathlib import Path
from typing import Any

import torch

from proxia_segmentation_ros.atomic_file import open_atomically
from proxia_segmentation_ros.errors import WeightsError


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` so that a crash leaves either the old file or the new one."""
    # Always the same name, so that the next save overwrites what a killed process left.
    partial = path.with_name(f"{path.name}.partial")
    with open_atomically(path, sync_to_disk=True, partial=partial) as file:
        torch.save(state, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are unpickled.

    Raises:
        WeightsError: the file is missing or not written by this trainer.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError.from_parts(
            f"checkpoint {str(path)!r} does not exist", "an earlier run", "train without --resume"
        ) from error
    except Exception as error:
        raise WeightsError.from_parts(
            f"checkpoint {str(path)!r} can't be read ({type(error).__name__})",
            "a file that this trainer wrote",
            "delete it and start anew",
        ) from error
    if not isinstance(state, dict) or "model" not in state or "step" not in state:
        raise WeightsError.from_parts(
            f"checkpoint {str(path)!r} lacks model and step",
            "a file that this trainer wrote",
            "delete it and start anew",
        )
    return state
