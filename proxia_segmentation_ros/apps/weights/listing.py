"""List the known weights, and download, verify and convert published weights."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from proxia_segmentation_ros.apps.weights.conversion import (
    ConversionSettings,
    convert_weights,
    hash_file,
)
from proxia_segmentation_ros.apps.weights.download import Download, download_file
from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.model.card import ModelCard
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.model.catalogue import (
    CatalogueEntry,
    find_weights_folder,
    locate_converted,
    read_catalogue,
)
from proxia_segmentation_ros.model.lookup import (
    FOREIGN_SUFFIXES,
    find_weights,
    list_shipped_weights,
)
from proxia_segmentation_ros.progress import Progress

if TYPE_CHECKING:
    from proxia_segmentation_ros.config import SizeHW
    from proxia_segmentation_ros.model.cost import NetworkCost

State: TypeAlias = Literal["shipped", "here", "download", "by hand", "file"]

HASHES = "SHA256SUMS"
DOWNLOADS = "downloads"
DIGITS = 64


@dataclass(frozen=True, kw_only=True)
class WeightsRow:
    """A row of the list: the weights of a name, and where their file is.

    `state` is `shipped` with the package, `here` once downloaded and converted, `download` if a
    command can download it, `by hand` if only a browser can, `file` for a path.
    """

    name: str
    state: State
    architecture: str
    classes: int
    label_set: str
    size_hw: "SizeHW"
    training_data: str
    scores: dict[str, float]
    terms: str
    path: Path | None = None
    entry: CatalogueEntry | None = None


def list_weights() -> list[WeightsRow]:
    """Return all known weights: the shipped ones, then the published ones.

    Raises:
        WeightsError: a card is broken.
    """
    rows = [_describe_file(name, "shipped") for name in list_shipped_weights()]
    return rows + [_describe_entry(entry) for entry in read_catalogue().values()]


def describe_weights(name: str) -> WeightsRow:
    """Return the description of weights by name or path.

    Raises:
        WeightsError: there is no such name or file, or its card is broken.
    """
    if name in list_shipped_weights():
        return _describe_file(name, "shipped")
    if name in read_catalogue():
        return _describe_entry(read_catalogue()[name])
    return _describe_file(name, "file")


def measure_weights_cost(name: str) -> "NetworkCost":
    """Return the cost of one image, at the input size of the card or the catalogue.

    Raises:
        WeightsError: there is no such name or file, or its card is broken.
    """
    from proxia_segmentation_ros.model.cost import measure_cost

    row = describe_weights(name)
    if row.path is None:
        return measure_cost(row.architecture, row.classes, row.size_hw)
    card = read_card(row.path)
    return measure_cost(
        card.architecture,
        row.classes,
        card.size_hw,
        ocr_mid=card.ocr_mid,
        ocr_key=card.ocr_key,
        attention_mid=card.attention_mid,
        scales=card.scales,
    )


def download_weights(name: str, progress: Progress, file: Path | None = None) -> Path:
    """Download published weights, or use `file`; verify and convert them, return their path.

    Existing weights are not downloaded again; a `file` replaces them.

    Raises:
        WeightsError: the name is unknown, the file isn't the published one, there is no
            connection, or nothing can be written.
    """
    entry = _find_entry(name)
    if file is None and locate_converted(name).is_file():
        return locate_converted(name)
    source = file or find_weights_folder() / DOWNLOADS / entry.file
    if file is None and not source.is_file():
        download_file(_make_download(entry, source), progress)
    _check_kind(entry, source)
    with _tell_disk_errors():
        progress.begin(f"{name}: verify")
        try:
            digits = _verify(entry, source)
        except WeightsError:
            if file is None:
                source.unlink(missing_ok=True)
            raise
        progress.begin(f"{name}: convert")
        path = _convert(entry, source)
        _record(entry, digits)
        if file is None:
            source.unlink(missing_ok=True)
    return path


@contextmanager
def _tell_disk_errors() -> Iterator[None]:
    """Turn disk errors, or files that another process removed, into a `WeightsError`."""
    try:
        yield
    except OSError as error:
        raise WeightsError.from_parts(
            f"{str(error.filename or find_weights_folder())!r} can't be read or written "
            f"({error.strerror or error})",
            "files that stay, and a folder with room that is writable",
            "give the command again, or set PROXIA_WEIGHTS_DIR to another folder",
        ) from error


def _describe_file(name: str, state: State, entry: CatalogueEntry | None = None) -> WeightsRow:
    card = read_card(name)
    return WeightsRow(
        name=card.name if state == "file" else name,
        state=state,
        architecture=card.architecture,
        classes=len(card.label_set.classes),
        label_set=card.label_set.name,
        size_hw=card.size_hw,
        training_data=card.training_data,
        scores=card.scores,
        terms=card.terms,
        path=find_weights(name),
        entry=entry,
    )


def _describe_entry(entry: CatalogueEntry) -> WeightsRow:
    if locate_converted(entry.name).is_file():
        return _describe_file(entry.name, "here", entry)
    return WeightsRow(
        name=entry.name,
        state="download" if entry.url else "by hand",
        architecture=entry.architecture,
        classes=entry.classes,
        label_set=entry.label_set,
        size_hw=entry.size_hw,
        training_data=entry.training_data,
        scores=entry.scores,
        terms=entry.terms,
        entry=entry,
    )


def _find_entry(name: str) -> CatalogueEntry:
    catalogue = read_catalogue()
    if name not in catalogue:
        raise WeightsError.from_parts(
            f"no weights {name!r} are published that we know of",
            f"one of {', '.join(catalogue)}",
            "pick one; a checkpoint of your own is for `proxia convert`",
        )
    return catalogue[name]


def _make_download(entry: CatalogueEntry, target: Path) -> Download:
    if entry.url is None:
        raise WeightsError.from_parts(
            f"weights {entry.name!r} have no address that a program can fetch",
            f"the file {entry.file}",
            f"fetch it from {entry.page} with a browser, then run "
            f"`proxia weights download {entry.name} --file {entry.file}`",
        )
    return Download(
        url=entry.url,
        target=target,
        title=entry.name,
        advice=f"fetch {entry.url} elsewhere and run "
        f"`proxia weights download {entry.name} --file {entry.file}`",
    )


def _check_kind(entry: CatalogueEntry, source: Path) -> None:
    if not source.is_file() or source.suffix not in FOREIGN_SUFFIXES:
        raise WeightsError.from_parts(
            f"{str(source)!r} is no checkpoint", f"the file {entry.file}", "check the path"
        )


def _verify(entry: CatalogueEntry, source: Path) -> str:
    """Return the SHA-256 of the file in hexadecimal.

    Raises:
        WeightsError: it differs from the published hash, or from that of the first download.
    """
    digits = hash_file(source)
    recorded = _read_recorded(entry.file)
    for known, where in ((entry.sha256, "published"), (recorded, f"recorded in {HASHES}")):
        if not digits.startswith(known):
            raise WeightsError.from_parts(
                f"SHA-256 of {str(source)!r} is {digits}",
                f"the {where} {known}{'' if len(known) == DIGITS else '...'}",
                "get the file again; if it stays so, the file was changed: don't use it",
            )
    return digits


def _read_recorded(file_name: str) -> str:
    """Return the hash of the first download of a file, or an empty text."""
    path = find_weights_folder() / HASHES
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    found = [line.split() for line in lines]
    return next((words[0] for words in found if words[1:] == [file_name]), "")


def _record(entry: CatalogueEntry, digits: str) -> None:
    """Record the whole hash, in the format of `sha256sum -c`."""
    if not _read_recorded(entry.file):
        with (find_weights_folder() / HASHES).open("a", encoding="utf-8") as file:
            file.write(f"{digits}  {entry.file}\n")


def _convert(entry: CatalogueEntry, source: Path) -> Path:
    """Convert to a temporary file, check it, then rename it.

    Raises:
        WeightsError: the checkpoint is another network's, or can't be read or written.
    """
    path = locate_converted(entry.name)
    # Named by process, because another one may convert the same weights.
    draft = path.with_name(f"draft-{os.getpid()}-{path.name}")
    settings = ConversionSettings(
        source=source,
        out=draft,
        name=entry.name,
        size_hw=entry.size_hw,
        training_data=entry.training_data,
        terms=entry.terms,
        scores=tuple(entry.scores.items()),
    )
    try:
        _check(convert_weights(settings), entry, source)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _check(card: ModelCard, entry: CatalogueEntry, source: Path) -> None:
    found = (card.architecture, len(card.label_set.classes))
    if found != (entry.architecture, entry.classes):
        raise WeightsError.from_parts(
            f"{str(source)!r} holds {found[0]} with {found[1]} classes",
            f"{entry.architecture} with {entry.classes} classes, as {entry.name} has",
            f"take the file {entry.file}",
        )
