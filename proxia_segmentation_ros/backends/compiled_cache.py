"""Cache of compiled networks on disk: a blob and a JSON sidecar that holds its whole key."""

import errno
import hashlib
import json
import logging
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from proxia_segmentation_ros.atomic_file import write_file_atomically
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.parsing import parse_json

logger = logging.getLogger(__name__)

CacheKey: TypeAlias = Mapping[str, str | int | float | list[int] | list[float]]
PACKAGE = "proxia_segmentation_ros"
# The fields that a user asks for; the others describe the machine, the versions and the code.
REQUEST_FIELDS = frozenset(
    {
        "backend",
        "part",
        "weights",
        "network_hw",
        "output_hw",
        "logits_shape",
        "batch",
        "streams",
        "scales",
        "precision",
        "threads",
    }
)


def find_cache_folder(kind: str) -> Path:
    """Return `$PROXIA_CACHE_DIR`, else `$XDG_CACHE_HOME/proxia_segmentation_ros/<kind>`."""
    own = os.environ.get("PROXIA_CACHE_DIR")
    if own:
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", PACKAGE, kind)
    except RuntimeError:
        # A container's user without a home. A fixed folder in /tmp would not be safe: other users
        # could put blobs there.
        folder = Path(tempfile.mkdtemp(prefix="proxia_cache_"))
        logger.warning("no home folder: compiled networks go to %s for this run", folder)
        return folder


def read_own_file(path: Path) -> bytes:
    """Return the bytes of a file that nobody else can have put there; links are not followed.

    Raises:
        OSError: the file can't be read, is a link, belongs to somebody else (root excepted), or can
            be written by everybody.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        facts = os.fstat(file.fileno())
        if facts.st_uid not in (0, os.getuid()) or facts.st_mode & stat.S_IWOTH:
            raise PermissionError(errno.EPERM, "others can write it, so it is not trusted")
        return file.read()


class CompiledCache:
    """A folder of blobs. A failure causes a rebuild and a log line, never an exception."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._is_warned = False

    def load(self, key: CacheKey) -> bytes | None:
        """Return the blob of exactly this key, or None if there is none or it fails the check."""
        blob_path, sidecar_path = self._find_paths(key)
        try:
            sidecar = parse_json(read_own_file(sidecar_path))
            blob = read_own_file(blob_path)
        except FileNotFoundError:
            self._explain_miss(key)
            return None
        except (OSError, ValueError) as error:
            logger.warning("cache entry %s can't be read (%s); building anew", blob_path, error)
            return None
        made_of = sidecar.get("key") if isinstance(sidecar, dict) else None
        if made_of != json.loads(_to_json(key)):
            found = describe_changes(made_of if isinstance(made_of, dict) else {}, key)
            logger.warning(
                "cache entry %s was made of something else (%s); building anew", blob_path, found
            )
            return None
        if sidecar.get("sha256") != hashlib.sha256(blob).hexdigest():
            logger.warning("cache entry %s is corrupt; building anew", blob_path)
            return None
        return blob

    def store(self, key: CacheKey, blob: bytes) -> None:
        """Write the blob, then its sidecar, each atomically; warn once if that fails."""
        blob_path, sidecar_path = self._find_paths(key)
        sidecar = {"key": dict(key), "sha256": hashlib.sha256(blob).hexdigest()}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_file_atomically(blob_path, blob)
            write_file_atomically(sidecar_path, json.dumps(sidecar, indent=1).encode())
        except OSError as error:
            if not self._is_warned:
                self._is_warned = True
                logger.warning(
                    "cache folder %s can't be written (%s); every start compiles anew; "
                    "set PROXIA_CACHE_DIR to a writable folder",
                    self.folder,
                    error.strerror or error,
                )

    def check_writable(self) -> None:
        """Check that entries can be stored.

        Raises:
            BackendError: the folder can't be made or written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise BackendError.from_parts(
                f"cache folder {self.folder} can't be written ({error.strerror or error})",
                "a place for engines that take minutes to build",
                "set PROXIA_CACHE_DIR to a writable folder",
            ) from error

    def drop(self, key: CacheKey) -> None:
        """Delete an entry that its backend could not load."""
        for path in self._find_paths(key):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("cache entry %s can't be removed (%s)", path, error.strerror)

    def _explain_miss(self, key: CacheKey) -> None:
        """Log how the key differs from the nearest entry of the same request."""
        wanted = json.loads(_to_json(key))
        nearest: list[str] = []
        for path in self.folder.glob("*.json"):
            made_of = read_key(path)
            if made_of is None or any(made_of.get(n) != wanted.get(n) for n in REQUEST_FIELDS):
                continue
            changes = find_changes(made_of, wanted)
            if not nearest or len(changes) < len(nearest):
                nearest = changes
        if nearest:
            logger.info("the cached network does not fit: %s; building anew", ", ".join(nearest))

    def _find_paths(self, key: CacheKey) -> tuple[Path, Path]:
        name = hashlib.sha256(_to_json(key).encode()).hexdigest()[:32]
        return self.folder / f"{name}.blob", self.folder / f"{name}.json"


def read_key(sidecar_path: Path) -> dict[str, Any] | None:
    """Return the key of an entry; None if the file is not a sidecar of this cache."""
    try:
        sidecar = parse_json(sidecar_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(sidecar, dict) or not isinstance(sidecar.get("sha256"), str):
        return None
    made_of = sidecar.get("key")
    is_ours = isinstance(made_of, dict) and {"backend", "format"} <= made_of.keys()
    return made_of if is_ours else None


def find_changes(made_of: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return a phrase for each field that differs."""
    return [
        f"{name} was {_shorten(name, made_of.get(name))}, is {_shorten(name, wanted.get(name))}"
        for name in sorted(made_of.keys() | wanted.keys())
        if made_of.get(name) != wanted.get(name)
    ]


def describe_changes(made_of: Mapping[str, Any], wanted: CacheKey) -> str:
    """Return the fields that differ as one phrase."""
    return ", ".join(find_changes(made_of, json.loads(_to_json(wanted)))) or "nothing readable"


def _shorten(name: str, value: object) -> object:
    """Shorten hashes, whose first digits suffice to tell them apart."""
    return str(value)[:12] if name in ("weights", "code") else value


def _to_json(key: CacheKey) -> str:
    return json.dumps(dict(key), sort_keys=True)
