"""Derive a model card from a checkpoint of NVIDIA/semantic-segmentation.

Source: https://github.com/NVIDIA/semantic-segmentation, the code of Tao, Sapra, Catanzaro,
"Hierarchical Multi-Scale Attention for Semantic Segmentation" (2020), arXiv 2005.10821. Its
checkpoints are dicts with `state_dict`, whose keys begin with `module.`, and metrics such as
`mean_iu` as numpy scalars. Tensor names inside are those of this package.
"""

import colorsys
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from proxia_segmentation_ros.errors import WeightsError
from proxia_segmentation_ros.labels import LabelClass, LabelSet, load_label_set
from proxia_segmentation_ros.model.card import CardLabelSet, ModelCard
from proxia_segmentation_ros.model.network.backbone import TRUNKS
from proxia_segmentation_ros.model.network.hrnet_ocr import DEFAULT_SCALES
from proxia_segmentation_ros.model.network.names import MULTI_SCALE_SUFFIX

SIZE_HW = (1024, 2048)
LABEL_SETS_BY_CLASSES = {19: "cityscapes", 65: "mapillary"}
OBJECT_CONTEXT = "ocr.ocr_distri_head.object_context_block"
NOT_STATED = "not stated in the checkpoint"


def derive_card(path: Path, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> ModelCard:
    """Derive the card from the shapes of the tensors.

    Raises:
        WeightsError: the tensors belong to an unsupported network.
    """
    has_attention = any(key.startswith("scale_attn.") for key in tensors)
    num_classes = read_out_channels(path, tensors, "ocr.cls_head.weight")
    figure = content.get("mean_iu")
    # NaN if the training run was never evaluated.
    scores = {"mean_iu": figure} if isinstance(figure, float) and math.isfinite(figure) else {}
    return ModelCard(
        name=path.stem,
        architecture=infer_architecture(path, tensors, has_attention),
        ocr_mid=read_out_channels(path, tensors, "ocr.conv3x3_ocr.0.weight"),
        ocr_key=read_out_channels(path, tensors, f"{OBJECT_CONTEXT}.f_pixel.0.weight"),
        attention_mid=(
            read_out_channels(path, tensors, "scale_attn.conv0.weight") if has_attention else 256
        ),
        scales=DEFAULT_SCALES if has_attention else (1.0,),
        size_hw=SIZE_HW,
        label_set=CardLabelSet.from_label_set(_find_label_set(num_classes)),
        training_data=NOT_STATED,
        terms=f"{NOT_STATED}: ask where it came from",
        scores=scores,
        made_with=(
            f"NVIDIA/semantic-segmentation checkpoint {path.name}, "
            f"architecture {content.get('arch', 'unknown')}"
        ),
    )


def read_out_channels(path: Path, tensors: Mapping[str, Tensor], key: str, shown: str = "") -> int:
    """Return a convolution's number of output channels; `shown` is its name in the file.

    Raises:
        WeightsError: the tensor is missing.
    """
    if key not in tensors or not tensors[key].dim():
        raise WeightsError.from_parts(
            f"checkpoint {str(path)!r} lacks {shown or key}",
            "an HRNet with OCR head (ocrnet.HRNet or ocrnet.HRNet_Mscale of "
            "NVIDIA/semantic-segmentation, or mmsegmentation's ocrnet_hr18s, hr18 or hr48)",
            "use another checkpoint",
        )
    return len(tensors[key])


def _count_children(tensors: Mapping[str, Tensor], prefix: str) -> int:
    numbers = (key.removeprefix(prefix).split(".")[0] for key in tensors if key.startswith(prefix))
    return len(set(numbers))


def infer_architecture(path: Path, tensors: Mapping[str, Tensor], has_attention: bool) -> str:
    """Infer the architecture from the width of the first branch and the number of modules.

    Raises:
        WeightsError: no trunk of this package has these sizes.
    """
    width = read_out_channels(path, tensors, "backbone.transition1.0.0.weight")
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
    """Return the label set of the data set with that many classes, else numbered classes."""
    if num_classes in LABEL_SETS_BY_CLASSES:
        return load_label_set(LABEL_SETS_BY_CLASSES[num_classes])
    return make_numbered_classes(num_classes)


def make_numbered_classes(num_classes: int) -> LabelSet:
    """Return a label set of unnamed classes: class_0, class_1 and so on."""
    return LabelSet(
        name=f"classes_{num_classes}",
        classes=tuple(
            LabelClass(id=index, name=f"class_{index}", rgb=pick_colour(index))
            for index in range(num_classes)
        ),
    )


def pick_colour(index: int) -> tuple[int, int, int]:
    """Return a colour by golden-ratio hue steps, so that neighbouring ids differ."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.8, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)
