"""Read foreign checkpoints (`.pth`) without executing pickled code.

`torch.load(weights_only=True)` only accepts tensors and plain values. The globals that numpy 1
and 2 and the training log of MMEngine add to a checkpoint are mapped to inert stand-ins.
"""

import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from proxia_segmentation_ros.errors import WeightsError

PREFIX = "module."


class _Dtype:
    """Stand-in for numpy.dtype: keeps the type's name and ignores the rest."""

    def __init__(self, name: str, *_flags: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        """Ignore the byte order and the flags."""


def _read_scalar(dtype: object, data: object = b"") -> float | None:
    """Stand-in for numpy's scalar: return a little-endian float64, else None."""
    is_float64 = isinstance(dtype, _Dtype) and dtype.name == "f8"
    if is_float64 and isinstance(data, bytes) and len(data) == 8:
        value: float = struct.unpack("<d", data)[0]
        return value
    return None


class _Ignored:
    """Stand-in for arrays and logs: accepts everything, keeps nothing."""

    def __init__(self, *_values: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        """Ignore the object's state."""


_STAND_INS: list[Any] = [
    (_Dtype, "numpy.dtype"),
    (_Dtype, "numpy.dtypes.Float64DType"),
    (_read_scalar, "numpy.core.multiarray.scalar"),
    (_read_scalar, "numpy._core.multiarray.scalar"),
    (_Ignored, "numpy.ndarray"),
    (_Ignored, "numpy.core.multiarray._reconstruct"),
    (_Ignored, "numpy._core.multiarray._reconstruct"),
    (_Ignored, "mmengine.logging.history_buffer.HistoryBuffer"),
    # MMEngine's log refers to its own methods by getattr; nothing is looked up.
    (_Ignored, "builtins.getattr"),
]


def read_state_dict(path: Path) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """Return the tensors, their keys without `module.`, and the rest of the checkpoint.

    Raises:
        WeightsError: the file can't be read safely or holds no state dict.
    """
    content = _unpickle(path)
    raw = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(raw, Mapping) or not all(_is_dense(value) for value in raw.values()):
        raise WeightsError.from_parts(
            f"checkpoint {str(path)!r} holds no state_dict of tensors",
            "dense tensors, as in checkpoints of NVIDIA/semantic-segmentation and mmsegmentation",
            "use another file",
        )
    tensors = {str(key).removeprefix(PREFIX): value for key, value in raw.items()}
    return tensors, content if "state_dict" in content else {}


def _is_dense(value: object) -> bool:
    """Whether a value is a dense tensor with data."""
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta


def _unpickle(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_STAND_INS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        why = f"it holds {refused[1]}" if refused else f"{type(error).__name__}"
        raise WeightsError.from_parts(
            f"checkpoint {str(path)!r} can't be read safely ({why})",
            "a complete file of tensors and plain values only",
            "get the file again, and from a source that you trust",
        ) from error
