"""Checkpoints of other systems (`.pth`), read without running what they hold.

PyTorch's restricted unpickler takes tensors and plain values alone; the names that numpy 1
and 2 write, and those of the training log that MMEngine keeps in a checkpoint, are answered by
harmless stand-ins.
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
    """Stands in for numpy.dtype: keeps the type's name and ignores the rest."""

    def __init__(self, name: str, *_flags: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        """Take the byte order and what follows it, of which nothing is needed."""


def _read_scalar(dtype: object, data: object = b"") -> float | None:
    """Stand in for numpy's scalar: return a little-endian float64, else None."""
    is_float64 = isinstance(dtype, _Dtype) and dtype.name == "f8"
    if is_float64 and isinstance(data, bytes) and len(data) == 8:
        value: float = struct.unpack("<d", data)[0]
        return value
    return None


class _Ignored:
    """Stands in for arrays and logs: takes everything, keeps nothing."""

    def __init__(self, *_values: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        """Take what the object held, of which nothing is needed."""


_STAND_INS: list[Any] = [
    (_Dtype, "numpy.dtype"),
    (_Dtype, "numpy.dtypes.Float64DType"),
    (_read_scalar, "numpy.core.multiarray.scalar"),
    (_read_scalar, "numpy._core.multiarray.scalar"),
    (_Ignored, "numpy.ndarray"),
    (_Ignored, "numpy.core.multiarray._reconstruct"),
    (_Ignored, "numpy._core.multiarray._reconstruct"),
    (_Ignored, "mmengine.logging.history_buffer.HistoryBuffer"),
    # By which the log names its own methods; nothing is looked up.
    (_Ignored, "builtins.getattr"),
]


def read_state_dict(path: Path) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """Return the tensors, without `module.`, and what else the checkpoint says.

    Raises:
        WeightsError: the file can't be read safely or holds no tensors by name.
    """
    content = _unpickle(path)
    raw = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(raw, Mapping) or not all(_is_dense(one) for one in raw.values()):
        raise WeightsError.from_parts(
            f"checkpoint {str(path)!r} holds no state_dict of tensors",
            "dense tensors, as checkpoints of the reference system and of mmsegmentation hold",
            "take another file",
        )
    tensors = {str(key).removeprefix(PREFIX): value for key, value in raw.items()}
    return tensors, content if "state_dict" in content else {}


def _is_dense(value: object) -> bool:
    """Whether a value is a tensor that holds a number for each place."""
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
            "tensors and plain values alone, in a whole file",
            "get the file again, and from a source that you trust",
        ) from error
