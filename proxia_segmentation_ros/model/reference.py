"""Checkpoints of the reference system (`.pth`), read without running what they hold.

A checkpoint is a dict with `state_dict`, whose keys begin with `module.`, and figures such
as `mean_iu`, which are numpy scalars. PyTorch's restricted unpickler takes tensors and plain
values alone; the numpy names that numpy 1 and 2 write are answered by harmless stand-ins.
"""

import colorsys
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.labels import LabelClass, LabelSet, load_label_set
from proxia_segmentation_ros.model.backbone import TRUNKS
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.model.networks import DEFAULT_SCALES, MULTI_SCALE_SUFFIX

PREFIX = "module."
SIZE_HW = (1024, 2048)
LABEL_SETS_BY_CLASSES = {19: "cityscapes", 65: "mapillary"}
OBJECT_CONTEXT = "ocr.ocr_distri_head.object_context_block"


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


_STAND_INS: list[Any] = [
    (_Dtype, "numpy.dtype"),
    (_Dtype, "numpy.dtypes.Float64DType"),
    (_read_scalar, "numpy.core.multiarray.scalar"),
    (_read_scalar, "numpy._core.multiarray.scalar"),
]


def read_reference(path: Path) -> tuple[dict[str, Tensor], ModelCard]:
    """Return the network's tensors, without `module.`, and a card derived from them.

    Raises:
        WeightsError: the file can't be read safely or holds another kind of network.
    """
    content = _unpickle(path)
    raw = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(raw, Mapping) or not all(isinstance(one, Tensor) for one in raw.values()):
        raise WeightsError.from_parts(
            f"checkpoint {str(path)!r} holds no state_dict of tensors",
            "a checkpoint of the reference system",
            "take another file",
        )
    tensors = {str(key).removeprefix(PREFIX): value for key, value in raw.items()}
    return tensors, _derive_card(path, tensors, content)


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


def _derive_card(path: Path, tensors: Mapping[str, Tensor], content: Any) -> ModelCard:
    has_attention = any(key.startswith("scale_attn.") for key in tensors)
    num_classes = _read_width(path, tensors, "ocr.cls_head.weight")
    figure = content.get("mean_iu") if isinstance(content, Mapping) else None
    trained_as = content.get("arch", "unknown") if isinstance(content, Mapping) else "unknown"
    return ModelCard(
        name=path.stem,
        architecture=_name_architecture(path, tensors, has_attention),
        ocr_mid=_read_width(path, tensors, "ocr.conv3x3_ocr.0.weight"),
        ocr_key=_read_width(path, tensors, f"{OBJECT_CONTEXT}.f_pixel.0.weight"),
        attention_mid=(
            _read_width(path, tensors, "scale_attn.conv0.weight") if has_attention else 256
        ),
        scales=DEFAULT_SCALES if has_attention else (1.0,),
        size_hw=SIZE_HW,
        label_set=CardLabelSet.from_label_set(_find_label_set(num_classes)),
        training_data="not stated in the checkpoint",
        terms="not stated in the checkpoint: ask where it came from",
        scores={"mean_iu": figure} if isinstance(figure, float) else {},
        made_with=f"reference checkpoint {path.name}, architecture {trained_as}",
    )


def _read_width(path: Path, tensors: Mapping[str, Tensor], key: str) -> int:
    if key not in tensors or not tensors[key].dim():
        raise WeightsError.from_parts(
            f"checkpoint {str(path)!r} lacks {key}",
            "an HRNet with OCR head (ocrnet.HRNet or ocrnet.HRNet_Mscale)",
            "take another checkpoint",
        )
    return len(tensors[key])


def _count_children(tensors: Mapping[str, Tensor], prefix: str) -> int:
    numbers = (key.removeprefix(prefix).split(".")[0] for key in tensors if key.startswith(prefix))
    return len(set(numbers))


def _name_architecture(path: Path, tensors: Mapping[str, Tensor], has_attention: bool) -> str:
    """Tell the trunk by the width of its first branch and its number of modules."""
    width = _read_width(path, tensors, "backbone.transition1.0.0.weight")
    modules = tuple(_count_children(tensors, f"backbone.stage{stage}.") for stage in (2, 3, 4))
    for name, trunk in TRUNKS.items():
        if (trunk.branch_channels[0], trunk.stage_modules) == (width, modules):
            return f"hrnet_{name}_ocr{MULTI_SCALE_SUFFIX if has_attention else ''}"
    raise WeightsError.from_parts(
        f"checkpoint {str(path)!r} has a trunk of width {width} with {modules} modules",
        f"one of {', '.join(TRUNKS)}",
        "take another checkpoint",
    )


def _find_label_set(num_classes: int) -> LabelSet:
    """Return the data set with that many classes, or numbered classes."""
    if num_classes in LABEL_SETS_BY_CLASSES:
        return load_label_set(LABEL_SETS_BY_CLASSES[num_classes])
    return LabelSet(
        name=f"classes_{num_classes}",
        classes=tuple(
            LabelClass(id=index, name=f"class_{index}", rgb=_pick_colour(index))
            for index in range(num_classes)
        ),
    )


def _pick_colour(index: int) -> tuple[int, int, int]:
    """Turn the hue by the golden ratio, so that neighbours differ."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.8, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)
