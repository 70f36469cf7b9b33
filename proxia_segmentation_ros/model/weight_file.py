"""Write weight files atomically and copy them with changed metadata. Does not import torch.

A safetensors file is the length of its header (8 bytes, little-endian), the header as JSON, which
holds the card as a string, and the tensors, whose offsets count from the end of the header.
"""

import json
import struct
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from proxia_segmentation_ros.atomic_file import write_file_atomically
from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.card_file import CARD_KEY, read_card
from proxia_segmentation_ros.model.lookup import SUFFIX, find_weights, list_shipped_weights
from proxia_segmentation_ros.parsing import parse_json

LENGTH_BYTES = 8
METADATA_KEY = "__metadata__"


def copy_with_temperature(source: str | Path, target: str | Path, temperature: float) -> ModelCard:
    """Write a copy of a weight file whose card has another temperature; return that card.

    The bytes of the tensors stay the same. An existing target is replaced atomically.

    Raises:
        WeightsError: the source is not a safetensors file, the temperature is invalid, or the
            target is one of the shipped files, has another suffix, or can't be written.
    """
    source, target = find_weights(source), Path(target)
    check_copy(source, target)
    # Parsing the changed JSON validates the new value.
    changed = json.loads(read_card(source).to_json()) | {"temperature": temperature}
    card = ModelCard.from_json(json.dumps(changed), str(target))
    write_weight_file(target, replace_metadata(source, {CARD_KEY: card.to_json()}))
    return card


def check_copy(source: str | Path, target: str | Path) -> None:
    """Check early that `target` may become a copy of the weight file `source`.

    Raises:
        WeightsError: the source is not a safetensors file; the target has another suffix or is
            one of the shipped files.
    """
    source, target = find_weights(source), Path(target)
    if source.suffix != SUFFIX:
        raise WeightsError.from_parts(
            f"weight file {str(source)!r} has no model card to change",
            f"a file that ends in {SUFFIX}",
            "run `proxia convert` on it first",
        )
    if target.suffix != SUFFIX:
        raise WeightsError.from_parts(
            f"weight file {str(target)!r} has another suffix", SUFFIX, "rename it"
        )
    shipped = [find_weights(name).resolve() for name in list_shipped_weights()]
    folder = Path(str(resources.files("proxia_segmentation_ros") / "weights")).resolve()
    # Symbolic links are followed: an installation may link to the checkout.
    folders = {folder, *(path.parent for path in shipped)}
    if target.parent.resolve() in folders or target.resolve() in shipped:
        raise WeightsError.from_parts(
            f"weight file {str(target)!r} lies among those that the package ships",
            "a file of your own",
            "choose another folder",
        )


def write_weight_file(path: Path, content: bytes) -> None:
    """Write atomically and wait for the disk: after a crash the file is the old or the new one.

    Raises:
        WeightsError: it can't be written.
    """
    try:
        write_file_atomically(path, content, sync_to_disk=True)
    except OSError as error:
        raise WeightsError.from_parts(
            f"weight file {str(path)!r} can't be written ({error.strerror})",
            "a folder with room that is writable",
            "choose another path",
        ) from error


def replace_metadata(path: Path, changes: Mapping[str, str]) -> bytes:
    """Return the bytes of a valid safetensors file with changed metadata."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    start = LENGTH_BYTES + length
    header = parse_json(content[LENGTH_BYTES:start])
    header[METADATA_KEY].update(changes)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    # Spaces pad the header so that the tensors stay aligned and can be memory-mapped.
    text += b" " * (-len(text) % LENGTH_BYTES)
    return struct.pack("<Q", len(text)) + text + content[start:]
