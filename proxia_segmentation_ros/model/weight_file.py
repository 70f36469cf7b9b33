"""Write weight files atomically and copy them with changed metadata. Does not import torch.

A safetensors file is the length of its header (8 bytes, little-endian), the header as JSON, which
holds the card as a string, and the tensors, whose offsets count from the end of the header.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from proxia_segmentation_ros.atomic_file import write_file_atomically
from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.card_file import CARD_KEY, explain_unreadable, read_card
from proxia_segmentation_ros.model.lookup import SUFFIX, find_weights, list_shipped_weights
from proxia_segmentation_ros.parsing import parse_json

LENGTH_BYTES = 8
METADATA_KEY = "__metadata__"
CONTENT_HASH_KEY = "sha256"


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
    """Write a safetensors file with the hash of its content, by which damage is noticed.

    It is written atomically and waits for the disk: after a crash the file is the old or the new
    one.

    Raises:
        WeightsError: it can't be written.
    """
    header, tensors = _split(content)
    header.setdefault(METADATA_KEY, {})[CONTENT_HASH_KEY] = _hash_content(header, tensors)
    try:
        write_file_atomically(path, _join(header, tensors), sync_to_disk=True)
    except OSError as error:
        raise WeightsError.from_parts(
            f"weight file {str(path)!r} can't be written ({error.strerror})",
            "a folder with room that is writable",
            "choose another path",
        ) from error


def replace_metadata(path: Path, changes: Mapping[str, str]) -> bytes:
    """Return the bytes of a valid safetensors file with changed metadata.

    Raises:
        WeightsError: the file is damaged; the copy would look whole.
    """
    check_content(path)
    header, tensors = _split(path.read_bytes())
    header[METADATA_KEY].update(changes)
    return _join(header, tensors)


def check_content(path: Path) -> str:
    """Check a weight file against the hash in its metadata; return the SHA-256 of the whole file.

    Files of other programs and of version 0.1 hold no hash, and pass.

    Raises:
        WeightsError: the file can't be read, or its content has another hash.
    """
    try:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if path.suffix != SUFFIX:
            return digest
        header, tensors = _split(content)
        _check_length(header, tensors)
        noted = header.get(METADATA_KEY, {}).get(CONTENT_HASH_KEY)
        found = None if noted is None else _hash_content(header, tensors)
    except (OSError, struct.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise explain_unreadable(path, error) from error
    if found != noted:
        raise WeightsError.from_parts(
            f"weight file {str(path)!r} is damaged: the SHA-256 of its content is "
            f"{str(found)[:12]}..., its metadata says {str(noted)[:12]!r}...",
            "the bytes that were written",
            "get the file again, or restore it from a copy",
        )
    return digest


def _check_length(header: Mapping[str, Any], tensors: memoryview) -> None:
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != METADATA_KEY]
    if len(tensors) < max(ends, default=0):
        raise ValueError(f"it holds {len(tensors)} of {max(ends)} bytes of tensors")


def _hash_content(header: Mapping[str, Any], tensors: memoryview) -> str:
    """Return the SHA-256 of the header, without this hash, and the data."""
    # Sorted: whoever writes the header may order it otherwise.
    metadata = {k: v for k, v in header.get(METADATA_KEY, {}).items() if k != CONTENT_HASH_KEY}
    text = json.dumps({**header, METADATA_KEY: metadata}, sort_keys=True).encode()
    digest = hashlib.sha256(b"%d " % len(text) + text)
    digest.update(tensors)
    return digest.hexdigest()


def _split(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """Return the parsed header and the bytes of the tensors."""
    (length,) = struct.unpack_from("<Q", content)
    start = LENGTH_BYTES + length
    return parse_json(content[LENGTH_BYTES:start]), memoryview(content)[start:]


def _join(header: Mapping[str, Any], tensors: memoryview) -> bytes:
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    # Spaces pad the header so that the tensors stay aligned and can be memory-mapped.
    text += b" " * (-len(text) % LENGTH_BYTES)
    return b"".join((struct.pack("<Q", len(text)), text, tensors))
