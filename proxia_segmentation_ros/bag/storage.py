"""Open rosbag2 recordings with rosbags, also those that are whole but unusual.

- QoS profiles and type hashes of metadata.yaml may be written otherwise than those of the storage:
  rosbags then finds no message. Names and types alone decide here.
- A sqlite3 file may have a write-ahead log or a rollback journal of a recording that was cut off.
  rosbags opens the file as immutable, without them. A copy is merged with them and read.
- Channels that are not in CDR, as protobuf or JSON, are left out; rosbags refuses the whole bag.
"""

import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from types import FunctionType
from typing import Any, BinaryIO, ClassVar

import yaml
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import Reader, reader, storage_mcap

from proxia_segmentation_ros.parsing import parse_yaml

logger = logging.getLogger(__name__)

METADATA = "metadata.yaml"
CDR_FORMATS = ("cdr", "")
JOURNALS = ("-wal", "-journal")
_Recovered = tuple[tuple[object, ...], TemporaryDirectory[str]]
# The last copy that was merged with its journal: a source opens its bag several times.
_recovered: list[_Recovered] = []


def _read_text(file: BinaryIO) -> str:
    # Schemas of protobuf are not text.
    return str(storage_mcap.read_bytes(file).decode(errors="replace"))


def _get_definition(schema: Any) -> MessageDefinition:
    try:
        return storage_mcap.get_msgdef(schema)
    except KeyError:
        return MessageDefinition(MessageDefinitionFormat.NONE, "")


def _with_other_helpers(method: Callable[..., None]) -> Any:
    """Return the method of rosbags with the two helpers above in place of its own."""
    helpers = {"read_string": _read_text, "get_msgdef": _get_definition}
    return FunctionType(method.__code__, method.__globals__ | helpers, method.__name__)


class _McapReader(storage_mcap.McapReader):
    read_index = _with_other_helpers(storage_mcap.McapReader.read_index)
    meta_scan = _with_other_helpers(storage_mcap.McapReader.meta_scan)


class _DirectoryReader(reader.DirectoryReader):
    STORAGE_PLUGINS: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        **reader.DirectoryReader.STORAGE_PLUGINS,
        "mcap": _McapReader,
    }


class _Reader(Reader):
    STORAGE_PLUGINS: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        **Reader.STORAGE_PLUGINS,
        "dir": _DirectoryReader,
        ".mcap": _McapReader,
    }


@contextmanager
def open_reader(path: Path) -> Iterator[Any]:
    """Open a bag: a folder with metadata.yaml, or one storage file. Errors are those of rosbags."""
    with ExitStack() as stack:
        bag = _Reader(_prepare(path, stack))
        bag.open()
        stack.callback(bag.close)
        storage: Any = bag.storage
        for part in (storage, *getattr(storage, "storages", ())):
            part.connections = [link for link in part.connections if _is_cdr(link)]
        for part in getattr(storage, "storages", ()):
            part.connections = [_find_named(link, storage.connections) for link in part.connections]
        yield bag


def _is_cdr(connection: Any) -> bool:
    return connection.ext.serialization_format in CDR_FORMATS


def _find_named(connection: Any, named: list[Any]) -> Any:
    """Return the storage's connection as rosbags compares it with that of metadata.yaml."""
    for link in named:
        if (link.topic, link.msgtype) == (connection.topic, connection.msgtype):
            return connection._replace(ext=link.ext, digest=link.digest)
    return connection


def _prepare(path: Path, stack: ExitStack) -> Path:
    """Return the path itself, or that of a folder in its place that rosbags can read."""
    if path.is_file():
        return _merge_journal(path)
    metadata = parse_yaml((path / METADATA).read_text(encoding="utf-8"))
    information = metadata["rosbag2_bagfile_information"]
    topics = information["topics_with_message_count"]
    readable = [topic for topic in topics if _is_cdr_topic(topic)]
    # Only their names matter, as rosbags itself takes them.
    files = [path / PurePath(name).name for name in information["relative_file_paths"]]
    readers = {file: _merge_journal(file) for file in files if file.is_file()}
    if len(readable) == len(topics) and all(file == place for file, place in readers.items()):
        return path
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="proxia_bag_")))
    information["topics_with_message_count"] = readable
    (folder / METADATA).write_text(yaml.safe_dump(metadata), encoding="utf-8")
    for file, place in readers.items():
        (folder / file.name).symlink_to(place.resolve())
    return folder


def _is_cdr_topic(topic: dict[str, Any]) -> bool:
    return topic["topic_metadata"]["serialization_format"] in CDR_FORMATS


def _merge_journal(path: Path) -> Path:
    """Return a sqlite3 file, or a copy of it merged with its journal if it has one."""
    journals = [path.with_name(path.name + ending) for ending in JOURNALS]
    pending = [journal for journal in journals if journal.is_file() and journal.stat().st_size]
    if path.suffix != ".db3" or not pending:
        return path
    state = tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in (path, *pending))
    if not _recovered or _recovered[0][0] != state:
        folder = TemporaryDirectory(prefix="proxia_bag_")
        for file in (path, *pending):
            shutil.copyfile(file, Path(folder.name, file.name))
        with closing(sqlite3.connect(Path(folder.name, path.name))) as database:
            database.execute("PRAGMA journal_mode=DELETE").fetchall()
        logger.warning(
            "%s was not closed: %s is merged into a copy, which is read",
            path,
            pending[0].name,
        )
        _recovered[:] = [(state, folder)]
    return Path(_recovered[0][1].name, path.name)
