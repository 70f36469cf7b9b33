"""A weight file with another temperature: other confidences in every backend, the same labels."""

from pathlib import Path

import numpy as np
import pytest
from tiny_network import draw_image

from proxia_segmentation_ros.inference import Segmentation, Segmenter
from proxia_segmentation_ros.model.weight_file import copy_with_temperature


def label(weights: Path, backend: str, cache: Path) -> Segmentation:
    segmenter = Segmenter.from_weights(
        weights, backend=backend, precision="f32", threads=2, cache_dir=cache
    )
    try:
        return segmenter.segment(draw_image(96, 128), with_confidence=True)
    finally:
        segmenter.close()


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_hotter_file_is_less_sure_of_the_same_labels(
    tiny_weights: Path, shared_cache: Path, tmp_path: Path, backend: str
) -> None:
    hot = tmp_path / "hot.safetensors"
    copy_with_temperature(tiny_weights, hot, 3.0)
    before = label(tiny_weights, backend, shared_cache)
    after = label(hot, backend, shared_cache)
    np.testing.assert_array_equal(after.labels, before.labels)
    assert before.confidence is not None
    assert after.confidence is not None
    assert (after.confidence <= before.confidence).all()
    assert after.confidence.mean() < before.confidence.mean() - 20


def test_backends_agree_on_the_confidence_of_a_changed_file(
    tiny_weights: Path, shared_cache: Path, tmp_path: Path
) -> None:
    cold = tmp_path / "cold.safetensors"
    copy_with_temperature(tiny_weights, cold, 0.4)
    found = [label(cold, backend, shared_cache).confidence for backend in ("openvino", "torch")]
    assert np.abs(found[0].astype(int) - found[1].astype(int)).max() <= 2
