"""Calibration for int8: the value ranges of each layer's input on sample images."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import openvino as ov

from proxia_segmentation_ros.backends.graph.openvino_convert import convert_network
from proxia_segmentation_ros.backends.graph.quantised_graph import add_range_outputs
from proxia_segmentation_ros.backends.network_source import NetworkSource
from proxia_segmentation_ros.backends.preprocess import check_image, resize_image
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.model.quantisation import Range


def find_ranges(source: NetworkSource, images_HWC: Iterable[np.ndarray]) -> dict[str, Range]:
    """Return the range of each layer's input: the means over images of its minimum and maximum.

    The mean is taken because a single outlier would set the overall extreme. Layers that run at
    several scales get the widest range of these. `images_HWC` are uint8 RGB of any size.

    Raises:
        InputError: there is no image, or one has another shape or type.
        BackendError: the network can't be converted.
        WeightsError: the weights can't be loaded.
    """
    card = source.card
    graph = convert_network(source.load(), card, card.scales, card.size_hw)
    layers = add_range_outputs(graph)
    request = (
        ov.Core()
        .compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        .create_infer_request()
    )
    seen = []
    for image_HWC in images_HWC:
        image_HWC = resize_image(check_image(image_HWC), card.size_hw)
        results = request.infer({0: image_HWC[np.newaxis]})
        seen.append([float(results[i + 1]) for i in range(2 * len(layers))])
    if not seen:
        raise InputError.from_parts(
            "there are no images to find ranges on", "at least one", "pass a folder with images"
        )
    means = np.mean(seen, axis=0).reshape(-1, 2)
    by_layer: dict[str, list[np.ndarray]] = defaultdict(list)
    for layer, ends in zip(layers, means, strict=True):
        by_layer[layer].append(ends)
    return {
        layer: (_round(min(low for low, _ in ends)), _round(max(high for _, high in ends)))
        for layer, ends in by_layer.items()
    }


def _round(value: float) -> float:
    """Round to six digits, which is a thousand times finer than a step of int8."""
    return float(f"{value:.6g}")
