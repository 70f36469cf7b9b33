"""Bilinear resizing as an OpenVINO node; the same numbers as torch with align_corners=False."""

from typing import Any, TypeAlias

import numpy as np
from openvino import opset13 as ops

Node: TypeAlias = Any


def make_resize(source: Node, height: int, width: int) -> Node:
    """Return the node that resizes NCHW bilinearly."""
    return ops.interpolate(
        source,
        np.array([height, width], np.int32),
        "linear_onnx",
        "sizes",
        pads_begin=[0, 0, 0, 0],
        pads_end=[0, 0, 0, 0],
        coordinate_transformation_mode="half_pixel",
        axes=np.array([2, 3], np.int32),
    )
