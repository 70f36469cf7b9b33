"""Image messages without ROS: CDR serialisation, pixel encodings, JPEG and PNG."""

from importlib import import_module
from typing import Any

_HOMES = {
    "CompressedImageMessage": "cdr",
    "ImageMessage": "cdr",
    "ImageWriter": "cdr",
    "RefusedImage": "limits",
    "SUPPORTED_ENCODINGS": "encodings",
    "decode_compressed": "compressed",
    "decode_depth": "encodings",
    "decode_image": "encodings",
    "read_compressed_image": "cdr",
    "read_encoded_size": "compressed",
    "read_image": "cdr",
    "write_compressed_image": "cdr",
    "write_image": "cdr",
}
__all__ = [
    "CompressedImageMessage",
    "ImageMessage",
    "ImageWriter",
    "RefusedImage",
    "SUPPORTED_ENCODINGS",
    "decode_compressed",
    "decode_depth",
    "decode_image",
    "read_compressed_image",
    "read_encoded_size",
    "read_image",
    "write_compressed_image",
    "write_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
