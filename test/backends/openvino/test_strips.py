"""Labels in strips are those of the graph for the whole image."""

from typing import Any

import numpy as np
import openvino as ov
import pytest

from proxia_segmentation_ros.backends.openvino import strips
from proxia_segmentation_ros.backends.openvino.argmax import build_argmax_graph
from proxia_segmentation_ros.backends.openvino.runner import ArgmaxRequest
from proxia_segmentation_ros.backends.openvino.strips import (
    StripPlan,
    StripRequest,
    build_strip_graph,
)

CLASSES = 5


def compile_graph(graph: ov.Model) -> ov.CompiledModel:
    return ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.mark.parametrize("with_confidence", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
@pytest.mark.parametrize(
    "output_hw", [(24, 32), (96, 128), (97, 131), (23, 128), (7, 32), (500, 40), (1, 1)]
)
def test_strips_give_the_same_labels_as_the_whole_image(
    monkeypatch: pytest.MonkeyPatch,
    output_hw: tuple[int, int],
    temperature: float,
    with_confidence: bool,
) -> None:
    # Strips of a few rows, the last one shorter.
    monkeypatch.setattr(strips, "STRIP_BYTES", 7 * CLASSES * output_hw[1] * 4)
    shape = (1, CLASSES, 24, 32)
    logits = ov.Tensor(np.random.default_rng(7).normal(0, 3, shape).astype(np.float32))
    plan = StripPlan.make(shape, output_hw)
    assert plan.rows == min(7, output_hw[0])
    options: dict[str, Any] = {
        "with_confidence": with_confidence,
        "temperature": temperature,
        "unlabeled_id": 255,
    }
    whole = ArgmaxRequest(
        compile_graph(build_argmax_graph(shape, output_hw, **options)).create_infer_request(),
        np.uint8,
    )
    graph = build_strip_graph(shape, output_hw[1], plan, **options)
    request = compile_graph(graph).create_infer_request()
    in_strips = StripRequest(request, plan, output_hw, np.uint8)
    labels_HW, confidence_HW = in_strips.run(logits, with_confidence, 0.4)
    wanted_HW, wanted_confidence_HW = whole.run(logits, with_confidence, 0.4)
    assert labels_HW.shape == output_hw
    assert labels_HW.dtype == np.uint8
    assert np.mean(labels_HW == wanted_HW) >= 0.999
    if with_confidence:
        assert confidence_HW is not None
        assert wanted_confidence_HW is not None
        difference_HW = confidence_HW.astype(int) - wanted_confidence_HW
        assert abs(difference_HW).max() <= 1
    else:
        assert confidence_HW is None


def test_plan_covers_every_row_with_as_many_source_rows_as_a_strip_needs() -> None:
    plan = StripPlan.make((1, 11, 72, 96), (5700, 5700))
    assert plan.rows == strips.STRIP_BYTES // (11 * 5700 * 4)
    assert plan.source_rows == 3
    assert len(plan.weight_H) == 5700
