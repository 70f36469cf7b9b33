"""The argmax post-processing in OpenVINO against the plain one in torch."""

import numpy as np
import openvino as ov
import pytest
import torch

from proxia_segmentation_ros.backends.graph.torch_graph import (
    argmax_labels,
    argmax_labels_and_confidence,
)
from proxia_segmentation_ros.backends.openvino import argmax as openvino_labels
from proxia_segmentation_ros.backends.openvino.argmax import (
    build_argmax_graph,
    compute_interpolation,
)
from proxia_segmentation_ros.model.network.blocks import resize_bilinear


def run(graph: ov.Model, *inputs: np.ndarray) -> list[np.ndarray]:
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return list(compiled(list(inputs)).values())


def draw_logits(classes: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(classes)
    return rng.normal(0, 3, (1, classes, height, width)).astype(np.float32)


def label_both_ways(
    logits: np.ndarray, output_hw: tuple[int, int], temperature: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ids without confidence, the ids with it, and the confidence."""
    plain, sure = (
        build_argmax_graph(
            logits.shape,
            output_hw,
            with_confidence=with_confidence,
            temperature=temperature,
            unlabeled_id=255,
        )
        for with_confidence in (False, True)
    )
    (ids,) = run(plain, logits)
    ids_too, confidence = run(sure, logits, np.zeros(1, np.float32))
    return ids, ids_too, confidence


@pytest.mark.parametrize("classes", [1, 2, 11, 300])
@pytest.mark.parametrize(
    "output_hw", [(24, 32), (96, 128), (97, 131), (24, 128), (96, 32), (16, 17), (1, 1)]
)
def test_ids_are_the_plain_rules(classes: int, output_hw: tuple[int, int]) -> None:
    logits = draw_logits(classes, 24, 32)
    unlabeled_id = 255 if classes < 256 else 65535
    graph = build_argmax_graph(
        logits.shape, output_hw, with_confidence=False, temperature=1.0, unlabeled_id=unlabeled_id
    )
    (ids,) = run(graph, logits)
    assert ids.dtype == np.int32
    wanted = argmax_labels(torch.from_numpy(logits), output_hw).numpy()
    assert ids.shape == (1, 1, *output_hw)
    assert np.mean(ids[0] == wanted) >= 0.999


@pytest.mark.parametrize(("temperature", "least"), [(0.5, 0.6), (1.0, 0.6), (3.0, 0.35)])
def test_confidence_and_threshold_are_the_plain_rules(temperature: float, least: float) -> None:
    logits = draw_logits(5, 24, 32)
    graph = build_argmax_graph(
        logits.shape, (90, 70), with_confidence=True, temperature=temperature, unlabeled_id=255
    )
    ids, confidence = run(graph, logits, np.array([least], np.float32))
    wanted, probability = argmax_labels_and_confidence(
        torch.from_numpy(logits), (90, 70), temperature
    )
    wanted[probability < least] = 255
    assert np.mean(ids[0] == wanted.numpy()) >= 0.999
    assert np.abs(confidence[0] / 255 - probability.numpy()).max() < 0.6 / 255
    assert 0.1 < np.mean(ids == 255) < 0.9


@pytest.mark.parametrize("factor", [0.1, 1, 3, 1000])
@pytest.mark.parametrize("output_hw", [(120, 128), (97, 131), (36, 40), (12, 16)])
def test_confidence_changes_no_ids_however_large_logits_are(
    factor: float, output_hw: tuple[int, int]
) -> None:
    logits = np.float32(factor) * draw_logits(7, 24, 32)
    ids, ids_too, confidence = label_both_ways(logits, output_hw, temperature=0.7)
    wanted = argmax_labels(torch.from_numpy(logits), output_hw).numpy()
    assert np.mean(ids[0] == wanted) >= 0.999
    assert confidence.min() >= round(255 / 7) - 1
    if factor < 1000:
        np.testing.assert_array_equal(ids_too, ids)
    # Thousands apart in neighbouring cells: no float holds the odds, but one of their tops wins.
    assert ids_too.max() < 7


@pytest.mark.parametrize(("rows", "height"), [(24, 96), (24, 97), (90, 50), (1, 7), (7, 1), (5, 5)])
def test_row_blends_are_those_of_a_bilinear_resize(rows: int, height: int) -> None:
    upper, lower, weight = compute_interpolation(rows, height)
    ramp = np.random.default_rng(0).normal(size=rows)
    wanted = resize_bilinear(torch.from_numpy(ramp).view(1, 1, rows, 1), (height, 1)).flatten()
    np.testing.assert_allclose(
        ramp[upper] * (1 - weight) + ramp[lower] * weight, wanted.numpy(), atol=1e-6
    )


def test_small_temperature_changes_no_ids() -> None:
    logits = np.array([[[[0, -8]], [[-1.6, 0]]]], np.float32)
    ids, ids_too, _ = label_both_ways(logits, (1, 4), temperature=0.05)
    assert ids.flatten().tolist() == ids_too.flatten().tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("rows", "height", "of_a_pair"),
    [(72, 360, 5), (72, 480, 7), (72, 720, 10), (24, 96, 4), (24, 25, 1), (24, 12, 1), (24, 24, 1)],
)
def test_rows_are_blended_by_pairs_of_sources_wherever_that_makes_few_too_many(
    rows: int, height: int, of_a_pair: int
) -> None:
    blend = openvino_labels._RowInterpolation.plan(rows, height)
    assert blend.weights_PR.shape[1] == of_a_pair
    assert blend.weights_PR.size <= 1.25 * height
    upper, lower, weight = compute_interpolation(rows, height)
    ramp = np.random.default_rng(0).normal(size=rows)
    made = ramp[blend.upper, None] * (1 - blend.weights_PR)
    made += ramp[blend.lower, None] * blend.weights_PR
    np.testing.assert_allclose(
        made.reshape(-1)[blend.pick], ramp[upper] * (1 - weight) + ramp[lower] * weight, atol=1e-6
    )


@pytest.mark.parametrize("output_hw", [(721, 480), (72, 6000)])
def test_bands_of_rows_give_what_the_whole_image_gives(
    output_hw: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = draw_logits(11, 72, 96)

    def label() -> list[np.ndarray]:
        graph = build_argmax_graph(
            logits.shape, output_hw, with_confidence=True, temperature=1.3, unlabeled_id=255
        )
        bands = sum(node.get_type_name() == "TopK" for node in graph.get_ordered_ops())
        assert bands == (1 if openvino_labels.MAX_BANDS == 1 else pytest.approx(15, abs=9))
        return run(graph, logits, np.array([0.4], np.float32))

    in_bands = label()
    monkeypatch.setattr(openvino_labels, "MAX_BANDS", 1)
    for banded, whole in zip(in_bands, label(), strict=True):
        np.testing.assert_array_equal(banded, whole)
