"""Read the model card of a weight file, without torch for safetensors files."""

import struct
from pathlib import Path

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.lookup import SUFFIX, find_weights
from proxia_segmentation_ros.parsing import parse_json

CARD_KEY = "card"
# The safetensors library accepts no longer header.
MAX_HEADER_BYTES = 100_000_000


def explain_unreadable(path: Path, error: Exception) -> WeightsError:
    """Return the error for a file that is cut off or no safetensors file."""
    return WeightsError.from_parts(
        f"weight file {str(path)!r} can't be read ({error})",
        "a complete safetensors file",
        "get the file again: it is truncated or has another format",
    )


def read_card(path_or_name: str | Path) -> ModelCard:
    """Read the card of a weight file.

    A foreign checkpoint (`.pth`) has none: it is derived from the tensors, which imports torch.

    Raises:
        WeightsError: the file is missing, corrupt or has no card.
    """
    path = find_weights(path_or_name)
    if path.suffix != SUFFIX:
        from proxia_segmentation_ros.model.foreign.checkpoints import read_foreign_checkpoint

        return read_foreign_checkpoint(path).card
    return ModelCard.from_json(_read_card_text(path), str(path))


def _read_card_text(path: Path) -> str:
    metadata = read_metadata(path)
    if CARD_KEY not in metadata:
        raise WeightsError.from_parts(
            f"weight file {str(path)!r} has no metadata {CARD_KEY!r}",
            "a file that save_weights wrote",
            "save it again with save_weights and a ModelCard",
        )
    return str(metadata[CARD_KEY])


def read_metadata(path: Path) -> dict[str, str]:
    """Return the `__metadata__` of a safetensors file.

    Format: the header's length (uint64, little-endian), the header as JSON, then the tensors
    (https://github.com/huggingface/safetensors#format).

    Raises:
        WeightsError: the file is missing or not a safetensors file.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = parse_json(file.read(min(length, MAX_HEADER_BYTES)))
            return dict(header.get("__metadata__", {}))
    except (OSError, struct.error, ValueError, TypeError, AttributeError) as error:
        raise explain_unreadable(path, error) from error
