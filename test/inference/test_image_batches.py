"""Several images in one pass of the network."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_network import draw_image

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.inference import Segmenter
from proxia_segmentation_ros.inference.preprocess import resize_image


@pytest.fixture(scope="module", params=["openvino", "torch"])
def segmenter(
    request: pytest.FixtureRequest, tiny_weights: Path, shared_cache: Path
) -> Iterator[Segmenter]:
    segmenter = Segmenter.from_weights(
        tiny_weights, backend=request.param, precision="f32", cache_dir=shared_cache
    )
    yield segmenter
    segmenter.close()


@pytest.fixture
def passes(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Batch sizes that ran."""
    seen: list[int] = []
    find_runner = segmenter._find_runner

    def watch(plans):
        seen.append(len(plans))
        return find_runner(plans)

    monkeypatch.setattr(segmenter, "_find_runner", watch)
    return seen


def test_images_of_all_sizes_get_in_a_batch_what_they_get_alone(
    segmenter: Segmenter, passes: list[int]
) -> None:
    images = [draw_image(96, 128), draw_image(240, 320)[:, ::-1], draw_image(97, 131)[::-1]]
    wants = [True, False, True]
    alone = [segmenter.segment(one, want) for one, want in zip(images, wants, strict=True)]
    segmenter.warm_up((96, 128), batch=3)
    passes.clear()
    together = segmenter.segment_many(images, wants)
    assert passes == [2, 1]
    for one, other, image in zip(alone, together, images, strict=True):
        assert other.labels.shape == image.shape[:2]
        assert np.mean(one.labels == other.labels) >= 0.999
        assert (one.confidence is None) == (other.confidence is None)
        if one.confidence is not None and other.confidence is not None:
            assert np.abs(one.confidence.astype(int) - other.confidence).max() <= 1
    assert np.mean(together[0].labels == together[2].labels[:96, :128]) < 0.9


def test_without_warmed_batches_images_run_one_by_one(
    segmenter: Segmenter, passes: list[int]
) -> None:
    segmenter.warm_up((96, 128))
    passes.clear()
    assert len(segmenter.segment_many([draw_image(96, 128)] * 3, [False] * 3)) == 3
    assert passes == [1, 1, 1]


def test_image_that_fails_half_way_leaves_no_lane_busy(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter.warm_up((96, 128), batch=2)
    images = [draw_image(96, 128, seed) for seed in range(2)]
    wanted = [one.labels for one in segmenter.segment_many(images, [False] * 2)]
    module = sys.modules[f"proxia_segmentation_ros.inference.{segmenter.backend}_backend"]
    calls = []

    def resize(image_HWC: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
        calls.append(size_hw)
        if len(calls) == 2:
            raise MemoryError("no room for the second")
        return resize_image(image_HWC, size_hw)

    monkeypatch.setattr(module, "resize_image", resize)
    with pytest.raises(MemoryError, match="second"):
        segmenter.segment_many(images, [False] * 2)
    found = [one.labels for one in segmenter.segment_many(images, [False] * 2)]
    np.testing.assert_array_equal(found, wanted)


def test_one_bad_image_refuses_the_batch(segmenter: Segmenter) -> None:
    with pytest.raises(InputError, match="shape"):
        segmenter.segment_many([draw_image(96, 128), np.zeros((4, 4))], [False, False])


def test_no_image_gives_nothing(segmenter: Segmenter) -> None:
    assert segmenter.segment_many([], []) == []


def test_a_segmentation_tells_its_stages_and_scales(segmenter: Segmenter) -> None:
    segmentation = segmenter.segment(draw_image(96, 128))
    assert list(segmentation.stages_ms) == ["pre", "infer", "post"]
    assert all(spent_ms > 0 for spent_ms in segmentation.stages_ms.values())
    assert (segmentation.tiles_run, segmentation.tiles_total) == (1, 1)
    assert segmentation.scales == (1.0,)
