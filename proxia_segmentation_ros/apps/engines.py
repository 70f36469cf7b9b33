"""Compiled networks on disk: list them, and delete those that are not needed."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from proxia_segmentation_ros.apps.weights.listing import list_weights
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.inference.engine_cache import (
    UNKNOWN,
    CacheEntry,
    describe_environments,
    find_folders,
    list_entries,
    list_leftovers,
    list_measurements,
)

DAY_S = 86400.0
MIB = 1 << 20
ALL_ASKED = "all were asked for"


@dataclass(frozen=True, kw_only=True)
class EngineRow:
    """A cache entry; `problems` are the reasons why this machine can't use it.

    `weights` is a name, or the start of a hash for unknown weights.
    """

    entry: CacheEntry
    weights: str
    problems: tuple[str, ...]
    # The backend is not installed here; another environment that shares the cache may have it.
    is_elsewhere: bool = False

    @property
    def what(self) -> str:
        """`network`, `labels` or, without a sidecar, `unknown`."""
        return str(self.entry.made_of.get("part", "network" if self.entry.made_of else UNKNOWN))

    @property
    def shapes(self) -> str:
        """Batch and input size of a network, or the output size of an argmax network."""
        made_of = self.entry.made_of
        if not made_of:
            return UNKNOWN
        height, width = made_of.get("network_hw") or made_of.get("output_hw") or (0, 0)
        # The number of images in one batch, or in parallel streams.
        return f"{made_of.get('batch', made_of.get('streams', 1))} x {width}x{height}"

    def to_dict(self) -> dict[str, Any]:
        """Return all fields for JSON."""
        return {
            "what": self.what,
            "backend": self.entry.backend,
            "weights": self.weights,
            "precision": self.entry.made_of.get("precision"),
            "shapes": self.shapes,
            "size_bytes": self.entry.size_bytes,
            "age_s": round(self.entry.age_s, 1),
            "usable": not self.problems,
            "problems": list(self.problems),
            "path": str(self.entry.blob_path),
            "made_of": self.entry.made_of,
        }


def list_engines(folders: Sequence[Path] | None = None) -> list[EngineRow]:
    """Return the entries of the cache folders, newest first."""
    environments = describe_environments()
    names = _name_weights()
    rows = []
    for entry in list_entries(find_folders() if folders is None else folders):
        digest = str(entry.made_of.get("weights", ""))
        rows.append(
            EngineRow(
                entry=entry,
                weights=names.get(digest, digest[:12]) or UNKNOWN,
                problems=tuple(entry.explain_unfit(environments)),
                is_elsewhere=isinstance(environments.get(entry.backend), str),
            )
        )
    return rows


@dataclass(frozen=True, kw_only=True)
class PruneSettings:
    """What to delete besides unusable entries: entries of this age, or all.

    Entries of a backend that is not installed here are not counted as unusable: another
    environment may need them.
    """

    older_than_days: float | None = None
    everything: bool = False
    is_dry_run: bool = False


@dataclass(frozen=True)
class PrunedFile:
    """A deleted file or entry, or one that would be deleted, and the reason."""

    path: Path
    reason: str
    size_bytes: int


def prune_engines(
    wanted: PruneSettings,
    report: Callable[[PrunedFile], None],
    folders: Sequence[Path] | None = None,
) -> list[PrunedFile]:
    """Delete entries and call `report` for each; files of other programs are never deleted.

    Raises:
        InputError: a file can't be deleted; those reported before it are deleted.
    """
    deleted: list[PrunedFile] = []
    for file, remove in _list_unwanted(wanted, find_folders() if folders is None else folders):
        if not wanted.is_dry_run:
            try:
                remove()
            except OSError as error:
                freed_mib = sum(before.size_bytes for before in deleted) / MIB
                raise InputError.from_parts(
                    f"{error.filename or file.path} can't be deleted ({error.strerror or error}), "
                    f"after {len(deleted)} were, {freed_mib:.1f} MiB",
                    "a cache folder that you may write",
                    "prune as the user it belongs to, or set PROXIA_CACHE_DIR to your own",
                ) from error
        deleted.append(file)
        report(file)
    return deleted


def _list_unwanted(
    wanted: PruneSettings, folders: Sequence[Path]
) -> Iterator[tuple[PrunedFile, Callable[[], None]]]:
    """Yield what to delete, each with the function that deletes it."""
    for row in list_engines(folders):
        reason = _find_reason(row, wanted)
        if reason is not None:
            entry = row.entry
            yield PrunedFile(entry.blob_path, reason, entry.size_bytes), entry.remove
    files = [(path, "was left by a process that died") for path in list_leftovers(folders)]
    if wanted.everything:
        files += [(path, ALL_ASKED) for path in list_measurements(folders)]
    for path, reason in files:
        size_bytes = path.stat().st_size if path.exists() else 0
        yield PrunedFile(path, reason, size_bytes), partial(path.unlink, missing_ok=True)


def _find_reason(row: EngineRow, wanted: PruneSettings) -> str | None:
    if row.problems and not row.is_elsewhere:
        return f"can't be used here: {'; '.join(row.problems)}"
    days = row.entry.age_s / DAY_S
    if wanted.older_than_days is not None and days > wanted.older_than_days:
        return f"is {days:.1f} days old"
    return ALL_ASKED if wanted.everything else None


def _name_weights() -> dict[str, str]:
    """Return the names of weights on this machine, by the hash that cache entries hold."""
    names = {}
    for row in list_weights():
        if row.path is not None:
            digest = hashlib.sha256(row.path.read_bytes()).hexdigest()
            names[digest] = row.name
    return names
