"""Convert a checkpoint of NVIDIA/semantic-segmentation or mmsegmentation to a weight file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from proxia_segmentation_ros.apps.version import PACKAGE, find_version
from proxia_segmentation_ros.errors import ConfigError, WeightsError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.model.lookup import FOREIGN_SUFFIXES, SUFFIX, find_weights

if TYPE_CHECKING:
    from proxia_segmentation_ros.config import SizeHW

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ConversionSettings:
    """Which file to convert, and what to write into its card.

    Empty settings are taken from the checkpoint.
    """

    source: Path
    out: Path
    name: str = ""
    label_set: str = ""
    size_hw: "SizeHW | None" = None
    training_data: str = ""
    terms: str = ""
    scores: tuple[tuple[str, float], ...] = ()
    half: bool = False


def convert_weights(settings: ConversionSettings) -> ModelCard:
    """Write the weight file and return its card.

    Raises:
        ConfigError: a setting is out of its range.
        WeightsError: the checkpoint is unsafe, of an unknown kind or incomplete, or the file
            can't be written.
    """
    path = _find_source(settings)
    import torch

    from proxia_segmentation_ros.model.checkpoint import load_foreign
    from proxia_segmentation_ros.model.foreign.checkpoints import read_foreign_checkpoint
    from proxia_segmentation_ros.training.tested_weights import save_tested_weights

    foreign = read_foreign_checkpoint(path)
    card = _complete_card(foreign.card, settings, path)
    network = load_foreign(foreign._replace(card=card), str(path), max_listed=None)
    dtype = torch.float16 if settings.half else torch.float32
    save_tested_weights(settings.out, network, card, dtype=dtype)
    return card


def hash_file(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _find_source(settings: ConversionSettings) -> Path:
    path = find_weights(settings.source)
    if path.suffix == SUFFIX:
        raise WeightsError.from_parts(
            f"weight file {str(path)!r} is one of ours already",
            f"another system's checkpoint: {', '.join(FOREIGN_SUFFIXES)}",
            "use it as it is",
        )
    if settings.out.suffix != SUFFIX:
        raise WeightsError.from_parts(
            f"weight file {str(settings.out)!r} has another suffix", SUFFIX, "rename it"
        )
    return path


def _complete_card(card: ModelCard, settings: ConversionSettings, path: Path) -> ModelCard:
    """Return the checkpoint's card, overridden by the settings that are given.

    Raises:
        ConfigError: a value is not allowed in a card.
    """
    known: dict[str, Any] = {
        "name": settings.name or settings.out.stem,
        "size_hw": settings.size_hw,
        "training_data": settings.training_data,
        "terms": settings.terms,
        "made_with": f"{card.made_with}, SHA-256 {hash_file(path)}; converted by {PACKAGE} "
        f"{find_version()}",
    }
    changes = {key: value for key, value in known.items() if value}
    if settings.label_set:
        changes["label_set"] = CardLabelSet.from_label_set(load_label_set(settings.label_set))
    if settings.scores:
        changes["scores"] = dict(settings.scores)
    try:
        return ModelCard.model_validate(card.model_copy(update=changes).model_dump())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError.from_parts(
            f"the card's {place} would be {str(first['input'])[:80]!r}",
            first["msg"],
            "correct the option",
        ) from error
