"""Import OCRNet with an HRNet trunk from mmsegmentation (https://github.com/open-mmlab/mmsegmentation).

Equal in both: names of the trunk's tensors, align_corners=False, batch-norm constants, the
concatenation order of object context and pixel features, and the normalisation (mean and std
on 0..255 there, on 0..1 in our cards). Dropout has no effect at inference. Different:

- The names of the head's tensors: see `HEAD_NAMES`.
- Two convolutions before a batch norm have no bias in mmsegmentation; ours get zeros.
- If an image side is not a multiple of 32, mmsegmentation upsamples a branch by a power of two
  and resizes it again, where ours resizes once. With random weights the mean difference of a
  logit is 0.04 standard deviations. This is not emulated: it would cost every backend an extra
  node, and cards derived here use sides that are multiples of 32, where the logits are equal.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.labels import LabelClass, LabelSet, load_label_set
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.model.foreign.nvidia import (
    NOT_STATED,
    OBJECT_CONTEXT,
    infer_architecture,
    make_numbered_classes,
    pick_colour,
    read_out_channels,
)

MARK = "decode_head."
_AUXILIARY = "decode_head.0"
_HEAD = "decode_head.1"
_CONTEXT = f"{_HEAD}.object_context_block"

# Prefix of a tensor's name in mmsegmentation -> in this package.
HEAD_NAMES = {
    f"{_AUXILIARY}.convs.0.conv.": "ocr.aux_head.0.",
    f"{_AUXILIARY}.convs.0.bn.": "ocr.aux_head.1.0.",
    f"{_AUXILIARY}.conv_seg.": "ocr.aux_head.2.",
    f"{_HEAD}.bottleneck.conv.": "ocr.conv3x3_ocr.0.",
    f"{_HEAD}.bottleneck.bn.": "ocr.conv3x3_ocr.1.0.",
    f"{_HEAD}.conv_seg.": "ocr.cls_head.",
    f"{_CONTEXT}.query_project.0.conv.": f"{OBJECT_CONTEXT}.f_pixel.0.",
    f"{_CONTEXT}.query_project.0.bn.": f"{OBJECT_CONTEXT}.f_pixel.1.0.",
    f"{_CONTEXT}.query_project.1.conv.": f"{OBJECT_CONTEXT}.f_pixel.2.",
    f"{_CONTEXT}.query_project.1.bn.": f"{OBJECT_CONTEXT}.f_pixel.3.0.",
    f"{_CONTEXT}.key_project.0.conv.": f"{OBJECT_CONTEXT}.f_object.0.",
    f"{_CONTEXT}.key_project.0.bn.": f"{OBJECT_CONTEXT}.f_object.1.0.",
    f"{_CONTEXT}.key_project.1.conv.": f"{OBJECT_CONTEXT}.f_object.2.",
    f"{_CONTEXT}.key_project.1.bn.": f"{OBJECT_CONTEXT}.f_object.3.0.",
    f"{_CONTEXT}.value_project.conv.": f"{OBJECT_CONTEXT}.f_down.0.",
    f"{_CONTEXT}.value_project.bn.": f"{OBJECT_CONTEXT}.f_down.1.0.",
    f"{_CONTEXT}.out_project.conv.": f"{OBJECT_CONTEXT}.f_up.0.",
    f"{_CONTEXT}.out_project.bn.": f"{OBJECT_CONTEXT}.f_up.1.0.",
    f"{_CONTEXT}.bottleneck.conv.": "ocr.ocr_distri_head.conv_bn_dropout.0.",
    f"{_CONTEXT}.bottleneck.bn.": "ocr.ocr_distri_head.conv_bn_dropout.1.0.",
}
# They have a bias in this package, none in mmsegmentation.
CONVOLUTIONS_WITHOUT_BIAS = ("ocr.aux_head.0", "ocr.conv3x3_ocr.0")

LABEL_SETS_BY_CLASSES = {19: "cityscapes", 150: "ade20k"}
# Class names of mmsegmentation that differ from the shipped label sets in more than spelling.
SYNONYMS = {"television_receiver": "television"}
# Multiples of 32: full Cityscapes images; ADE20K is evaluated with a short side of 512.
SIZES_BY_LABEL_SET = {"cityscapes": (1024, 2048), "ade20k": (512, 672)}
OTHER_SIZE_HW = (512, 512)


def translate(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors to this package's names; unknown names stay.

    Raises:
        WeightsError: two tensors map to the same name.
    """
    ours: dict[str, Tensor] = {}
    for key, value in tensors.items():
        name = _rename(key, HEAD_NAMES)
        if name in ours:
            raise WeightsError.from_parts(
                f"checkpoint {str(path)!r} holds {key} and another tensor for {name}",
                "one tensor for each name",
                "take another checkpoint",
            )
        ours[name] = value
    for convolution in CONVOLUTIONS_WITHOUT_BIAS:
        weight = ours.get(f"{convolution}.weight")
        if weight is not None and weight.dim():
            ours.setdefault(f"{convolution}.bias", torch.zeros(len(weight), dtype=weight.dtype))
    return ours


def name_in_file(key: str) -> str:
    """Return the mmsegmentation name of a tensor of this package."""
    return _rename(key, {ours: foreign for foreign, ours in HEAD_NAMES.items()})


def _rename(key: str, beginnings: Mapping[str, str]) -> str:
    for old, new in beginnings.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key


def derive_card(path: Path, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> ModelCard:
    """Derive the card from renamed tensors and the checkpoint's metadata.

    Raises:
        WeightsError: the tensors belong to an unsupported network.
    """
    keys = ("ocr.cls_head.weight", "ocr.conv3x3_ocr.0.weight", f"{OBJECT_CONTEXT}.f_pixel.0.weight")
    num_classes, ocr_mid, ocr_key = (
        read_out_channels(path, tensors, key, name_in_file(key)) for key in keys
    )
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    label_set = _find_label_set(num_classes, meta)
    version = meta.get("mmseg_version") or f"unknown, MMEngine {meta.get('mmengine_version', '-')}"
    return ModelCard(
        name=path.stem,
        architecture=infer_architecture(path, tensors, has_attention=False),
        ocr_mid=ocr_mid,
        ocr_key=ocr_key,
        size_hw=SIZES_BY_LABEL_SET.get(label_set.name, OTHER_SIZE_HW),
        label_set=CardLabelSet.from_label_set(label_set),
        training_data=_find_data_set(meta) or NOT_STATED,
        terms=f"{NOT_STATED}: ask where it came from",
        made_with=f"mmsegmentation checkpoint {path.name}, version {version}",
    )


def _find_label_set(num_classes: int, meta: Mapping[str, Any]) -> LabelSet:
    """Return the shipped label set with the checkpoint's class names, else a set of those names."""
    dataset_meta = meta.get("dataset_meta")
    dataset_meta = dataset_meta if isinstance(dataset_meta, Mapping) else {}
    names = _list_names(dataset_meta.get("classes", meta.get("CLASSES")), num_classes)
    shipped = _load_shipped(num_classes)
    if shipped is not None and names in ((), shipped.names):
        return shipped
    if not names:
        return make_numbered_classes(num_classes)
    palette = dataset_meta.get("palette", meta.get("PALETTE"))
    data_set = _find_data_set(meta).lower().removesuffix("dataset")
    return LabelSet(
        name=data_set or f"classes_{num_classes}",
        classes=tuple(
            LabelClass(id=index, name=name, rgb=_read_colour(palette, index))
            for index, name in enumerate(names)
        ),
    )


def _find_data_set(meta: Mapping[str, Any]) -> str:
    """Return the `dataset_type` of the checkpoint's configuration, or an empty string."""
    text = str(meta.get("config") or meta.get("cfg") or "")
    found = re.search(r"dataset_type\s*=\s*['\"](\w+)", text)
    return found[1] if found else ""


def _list_names(value: object, num_classes: int) -> tuple[str, ...]:
    """Return class names in the spelling of label sets; empty if the value is no list of them."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != num_classes:
        return ()
    spelled = (re.sub(r"[\s-]+", "_", str(name).strip().lower()) for name in value)
    names = tuple(SYNONYMS.get(name, name) for name in spelled)
    return names if all(names) and len(set(names)) == num_classes else ()


def _load_shipped(num_classes: int) -> LabelSet | None:
    if num_classes not in LABEL_SETS_BY_CLASSES:
        return None
    return load_label_set(LABEL_SETS_BY_CLASSES[num_classes])


def _read_colour(palette: object, index: int) -> tuple[int, int, int]:
    try:
        red, green, blue = (int(value) for value in palette[index])  # type: ignore[index]
    except (TypeError, ValueError, LookupError, OverflowError):
        return pick_colour(index)
    is_colour = all(0 <= value <= 255 for value in (red, green, blue))
    return (red, green, blue) if is_colour else pick_colour(index)
