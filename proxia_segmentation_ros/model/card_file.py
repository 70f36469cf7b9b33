"""Read the card of a weight file; only another system's `.pth` needs torch for it."""

import json
import struct
from pathlib import Path

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.lookup import SUFFIX, find_weights

CARD_KEY = "card"
# Longest header that the safetensors library reads.
MAX_HEADER_BYTES = 100_000_000


def read_card(path_or_name: str | Path) -> ModelCard:
    """Read the card of a weight file; only another system's `.pth` needs torch for it.

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
    """Return a safetensors file's metadata: its header's length in 8 bytes, then JSON.

    Raises:
        WeightsError: the file is missing or no such file.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, MAX_HEADER_BYTES)))
            return dict(header.get("__metadata__", {}))
    except (OSError, struct.error, ValueError, TypeError, AttributeError) as error:
        raise WeightsError.from_parts(
            f"weight file {str(path)!r} can't be read ({error})",
            "a safetensors file",
            "get the file again: it is cut short or is something else",
        ) from error
