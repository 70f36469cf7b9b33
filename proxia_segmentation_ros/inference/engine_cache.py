"""Lists the cache of compiled networks, and explains which entries this machine can use."""

import hashlib
import importlib.util
import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxia_segmentation_ros.backends.compiled_cache import (
    find_cache_folder,
    find_changes,
    read_key,
)
from proxia_segmentation_ros.backends.network_source import hash_network_code
from proxia_segmentation_ros.backends.precision import describe_cpu, read_cpu_flags
from proxia_segmentation_ros.parsing import parse_json

KINDS = ("openvino", "tensorrt")
UNKNOWN = "unknown"
ENTRY_NAME = re.compile(r"[0-9a-f]{32}")
LEFTOVER_NAME = re.compile(r"\.[0-9a-f]{32}\.(blob|json)\.\d+\.partial")
# A younger file may still be in the process of being written.
LEFTOVER_AGE_S = 600.0
# TensorRT's timing cache: always valid, and speeds up the next build.
MEASUREMENTS = "kernels_*_sm*.timing"

Environments = Mapping[str, "Mapping[str, object] | str"]


@dataclass(frozen=True, kw_only=True)
class CacheEntry:
    """One compiled network on disk; `made_of` is its cache key, empty without a sidecar."""

    blob_path: Path
    sidecar_path: Path
    made_of: dict[str, Any]
    size_bytes: int
    age_s: float

    @property
    def backend(self) -> str:
        """`openvino`, `tensorrt` or, without a sidecar, `unknown`."""
        return str(self.made_of.get("backend", UNKNOWN))

    def explain_unfit(self, environments: Environments) -> list[str]:
        """Return the reasons why this machine can't use the entry; empty if it can."""
        if not self.made_of:
            return [f"{self.sidecar_path.name} is missing or corrupt"]
        environment = environments.get(self.backend, f"backend {self.backend} is unknown")
        if isinstance(environment, str):
            return [environment]
        # Only fields that are known here: other versions also differ in `format` or `code`.
        made_with = {name: self.made_of.get(name) for name in environment}
        problems = find_changes(made_with, json.loads(json.dumps(dict(environment))))
        return problems or self._find_damage()

    def remove(self) -> None:
        """Delete both files, the sidecar first, since a blob without it is never used.

        Raises:
            OSError: a file can't be removed.
        """
        self.sidecar_path.unlink(missing_ok=True)
        self.blob_path.unlink(missing_ok=True)

    def _find_damage(self) -> list[str]:
        try:
            digest = hashlib.sha256(self.blob_path.read_bytes()).hexdigest()
            is_whole = parse_json(self.sidecar_path.read_text())["sha256"] == digest
        except (OSError, ValueError) as error:
            return [f"can't be read ({error})"]
        return [] if is_whole else ["is corrupt"]


def find_folders() -> list[Path]:
    """Return the cache folders; a single one if PROXIA_CACHE_DIR is set."""
    return list(dict.fromkeys(find_cache_folder(kind) for kind in KINDS))


def list_entries(folders: Sequence[Path]) -> list[CacheEntry]:
    """Return the entries of these folders, newest first; other files are ignored.

    A blob whose sidecar is missing or corrupt is listed once it is too old to be half-written.
    """
    entries = []
    for folder in folders:
        files = [*folder.glob("*.json"), *folder.glob("*.blob")]
        for stem in sorted({path.stem for path in files if ENTRY_NAME.fullmatch(path.stem)}):
            # Another process may be deleting entries; a folder may be unreadable.
            with suppress(OSError):
                entry = _find_entry(folder / f"{stem}.blob", folder / f"{stem}.json")
                entries += [] if entry is None else [entry]
    return sorted(entries, key=lambda entry: entry.age_s)


def list_leftovers(folders: Sequence[Path]) -> list[Path]:
    """Return the temporary files of writers that were killed."""
    found = []
    for folder in folders:
        for path in folder.glob("*"):
            if LEFTOVER_NAME.fullmatch(path.name):
                with suppress(OSError):
                    found += [path] if _find_age_s(path) > LEFTOVER_AGE_S else []
    return sorted(found)


def list_measurements(folders: Sequence[Path]) -> list[Path]:
    """Return TensorRT's timing caches."""
    return sorted(path for folder in folders for path in folder.glob(MEASUREMENTS))


def _find_entry(blob_path: Path, sidecar_path: Path) -> CacheEntry | None:
    """Return the entry of these files; None if they are no cache entry.

    Raises:
        OSError: a file was deleted meanwhile or can't be read.
    """
    made_of = read_key(sidecar_path)
    has_blob = blob_path.exists()
    if made_of is None:
        is_ours = has_blob and _is_missing_or_corrupt(sidecar_path)
        if not is_ours or _find_age_s(blob_path) <= LEFTOVER_AGE_S:
            return None
    return CacheEntry(
        blob_path=blob_path,
        sidecar_path=sidecar_path,
        made_of=made_of or {},
        size_bytes=blob_path.stat().st_size if has_blob else 0,
        age_s=_find_age_s(blob_path if made_of is None else sidecar_path),
    )


def _is_missing_or_corrupt(sidecar_path: Path) -> bool:
    """Tell a broken sidecar from foreign JSON and from an unreadable file."""
    try:
        parse_json(sidecar_path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return True
    return False


def _find_age_s(path: Path) -> float:
    return max(0.0, time.time() - path.stat().st_mtime)


def describe_environments() -> dict[str, Mapping[str, object] | str]:
    """Return the key fields that entries must match, by backend, or why it is missing."""
    return {"openvino": _describe_openvino(), "tensorrt": _describe_tensorrt()}


def _describe_openvino() -> Mapping[str, object] | str:
    if importlib.util.find_spec("openvino") is None:
        return "OpenVINO is not installed"
    import openvino

    from proxia_segmentation_ros.backends.openvino.backend import CACHE_FORMAT

    return {
        "format": CACHE_FORMAT,
        "openvino": openvino.get_version(),
        "cpu": describe_cpu(),
        "cpu_flags": " ".join(sorted(read_cpu_flags())),
        "code": hash_network_code(),
    }


def _describe_tensorrt() -> Mapping[str, object] | str:
    if importlib.util.find_spec("torch_tensorrt") is None:
        return "torch-tensorrt is not installed"
    from proxia_segmentation_ros.backends.tensorrt.backend import CACHE_FORMAT
    from proxia_segmentation_ros.backends.tensorrt.device import CudaDevice, explain_absence

    absence = explain_absence()
    if absence is not None:
        return absence
    return {"format": CACHE_FORMAT, **CudaDevice().facts, "code": hash_network_code()}
