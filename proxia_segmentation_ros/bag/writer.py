"""Write camera images to rosbag2 recordings."""

from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_typestore
from typing_extensions import Self

from proxia_segmentation_ros.bag.reader import COMPRESSED_IMAGE_TYPE, IMAGE_TYPE
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.cdr import (
    CompressedImageMessage,
    ImageMessage,
    write_compressed_image,
    write_image,
)

_STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


class BagWriter:
    """Context manager that writes a new rosbag2 folder; after an error the bag is still closed."""

    def __init__(self, path: str | Path, *, storage: Literal["mcap", "sqlite3"] = "mcap") -> None:
        try:
            self._bag = Writer(Path(path), version=8, storage_plugin=_STORAGES[storage])
        except WriterError as error:
            raise InputError.from_parts(
                f"bag {str(path)!r} exists already", "a new path", "choose another name"
            ) from error
        self._typestore = get_typestore(Stores.ROS2_HUMBLE)
        self._connections: dict[tuple[str, str], Any] = {}

    def __enter__(self) -> Self:
        self._bag.open()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bag.close()

    def write(
        self,
        topic: str,
        message: ImageMessage | CompressedImageMessage,
        stamp_ns: int | None = None,
    ) -> None:
        """Append an image, recorded at `stamp_ns`; the default is its own stamp."""
        if isinstance(message, CompressedImageMessage):
            message_type, raw = COMPRESSED_IMAGE_TYPE, write_compressed_image(message)
        else:
            message_type, raw = IMAGE_TYPE, write_image(message)
        key = (topic, message_type)
        if key not in self._connections:
            self._connections[key] = self._bag.add_connection(
                topic, message_type, typestore=self._typestore
            )
        if stamp_ns is None:
            stamp_ns = message.stamp_sec * 1_000_000_000 + message.stamp_nanosec
        self._bag.write(self._connections[key], stamp_ns, raw)
