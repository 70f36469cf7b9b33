"""Several images at the same time: in one pass of the network, or in lanes of their own."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_network import draw_image

from proxia_segmentation_ros.backends.contract import Lane
from proxia_segmentation_ros.backends.openvino import runner as openvino_runner
from proxia_segmentation_ros.backends.preprocess import resize_image
from proxia_segmentation_ros.backends.torch import backend as torch_backend
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.inference import Segmenter, lanes


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

    def watch(plans, lane):
        seen.append(len(plans))
        return find_runner(plans, lane)

    monkeypatch.setattr(segmenter, "_find_runner", watch)
    return seen


def test_images_of_all_sizes_get_in_a_batch_what_they_get_alone(
    segmenter: Segmenter, passes: list[int]
) -> None:
    images = [draw_image(96, 128), draw_image(240, 320)[:, ::-1], draw_image(97, 131)[::-1]]
    wants = [True, False, True]
    alone = [segmenter.segment(image, want) for image, want in zip(images, wants, strict=True)]
    segmenter.warm_up((96, 128), batch=3)
    passes.clear()
    together = segmenter.segment_many(images, wants)
    assert passes == ([2, 1] if segmenter.backend == "torch" else [1, 1, 1])
    for single, batched, image in zip(alone, together, images, strict=True):
        assert batched.labels.shape == image.shape[:2]
        assert np.mean(single.labels == batched.labels) >= 0.999
        assert (single.confidence is None) == (batched.confidence is None)
        if single.confidence is not None and batched.confidence is not None:
            assert np.abs(single.confidence.astype(int) - batched.confidence).max() <= 1
    assert np.mean(together[0].labels == together[2].labels[:96, :128]) < 0.9


def test_without_warmed_batches_images_run_one_by_one(
    segmenter: Segmenter, passes: list[int]
) -> None:
    segmenter.warm_up((96, 128))
    passes.clear()
    assert len(segmenter.segment_many([draw_image(96, 128)] * 3, [False] * 3)) == 3
    assert passes == [1, 1, 1]


def hold_together(segmenter: Segmenter, images: list[np.ndarray], times: int) -> list[list[Any]]:
    """Label each image so often, all beside each other; return the segmentations of each."""
    barrier = threading.Barrier(len(images), timeout=30)
    found: list[list[Any]] = [[] for _ in images]

    def call(index: int) -> None:
        for _ in range(times):
            barrier.wait()
            found[index].append(segmenter.segment(images[index], index % 2 == 0))

    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("gap", [-1.0, 1e9], ids=["each the whole processor", "shares"])
def test_calls_at_one_time_get_what_they_get_alone(
    segmenter: Segmenter, gap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "BUSY_GAP", gap)
    taken: list[Lane] = []
    find_runner = segmenter._find_runner

    def watch(plans, lane):
        taken.append(lane)
        return find_runner(plans, lane)

    images = [draw_image(96, 128), draw_image(97, 131)[::-1]]
    segmenter.warm_up((96, 128))
    assert (segmenter.largest_batch, segmenter.lanes) == (1, 1)
    alone = [segmenter.segment(image, i % 2 == 0) for i, image in enumerate(images)]
    segmenter.warm_up((96, 128), batch=2)
    if segmenter.backend == "openvino":
        assert (segmenter.largest_batch, segmenter.lanes) == (1, min(2, segmenter.threads))
    else:
        assert (segmenter.largest_batch, segmenter.lanes) == (2, 1)
    together = threading.Barrier(segmenter.lanes, timeout=30)
    module = openvino_runner if segmenter.backend == "openvino" else torch_backend

    def resize(image_HWC: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
        together.wait()
        return resize_image(image_HWC, size_hw)

    monkeypatch.setattr(segmenter, "_find_runner", watch)
    monkeypatch.setattr(module, "resize_image", resize)
    found_of_all = hold_together(segmenter, images, 5)
    shares = {lane.share for lane in taken}
    assert shares == ({1} if gap < 0 or segmenter.lanes == 1 else {1, 2})
    for single, found in zip(alone, found_of_all, strict=True):
        assert len(found) == 5
        for batched in found:
            assert np.mean(single.labels == batched.labels) >= 0.999
            if single.confidence is not None:
                assert np.abs(single.confidence.astype(int) - batched.confidence).max() <= 1


def test_call_that_takes_long_holds_up_no_other_lane(
    tiny_weights: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter.from_weights(
        tiny_weights, backend="openvino", precision="f32", cache_dir=shared_cache, threads=2
    )
    segmenter.warm_up((96, 128), batch=2)
    holds, lets_go = threading.Event(), threading.Event()

    def resize(image_HWC: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
        if image_HWC.shape[0] == 240:
            holds.set()
            assert lets_go.wait(30)
        return resize_image(image_HWC, size_hw)

    monkeypatch.setattr(openvino_runner, "resize_image", resize)
    held: list[Any] = []
    thread = threading.Thread(target=lambda: held.append(segmenter.segment(draw_image(240, 320))))
    thread.start()
    assert holds.wait(30)
    for _ in range(3):
        assert segmenter.segment(draw_image(96, 128)).labels.shape == (96, 128)
    assert held == []
    lets_go.set()
    thread.join(30)
    assert held[0].labels.shape == (240, 320)
    segmenter.close()


def test_lanes_share_the_threads_out(
    tiny_weights: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter.from_weights(
        tiny_weights, backend="openvino", precision="f32", cache_dir=shared_cache, threads=2
    )
    streams: list[int] = []
    prepare = segmenter._backend.prepare

    def watch(plans, lane):
        runner = prepare(plans, lane)
        request = runner._find_parts().feed.request
        streams.append(request.get_compiled_model().get_property("NUM_STREAMS"))
        return runner

    monkeypatch.setattr(segmenter._backend, "prepare", watch)
    segmenter.warm_up((96, 128), batch=4)
    # Four cameras on two threads: alone, and two lanes of one thread each.
    assert (segmenter.lanes, streams) == (2, [1, 1, 2, 2])
    segmenter.close()


def test_call_that_fails_leaves_no_lane_busy(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter.warm_up((96, 128), batch=2)
    images = [draw_image(96, 128, seed) for seed in range(2)]
    wanted = [result.labels for result in segmenter.segment_many(images, [False] * 2)]

    def fail(*_: object) -> None:
        raise MemoryError("no room")

    for _ in range(segmenter.lanes + 1):
        with monkeypatch.context() as patch:
            patch.setattr(segmenter, "_find_runner", fail)
            with pytest.raises(MemoryError, match="no room"):
                segmenter.segment(images[0])
    found = [result.labels for result in segmenter.segment_many(images, [False] * 2)]
    np.testing.assert_array_equal(found, wanted)


def test_one_bad_image_refuses_the_batch(segmenter: Segmenter) -> None:
    with pytest.raises(InputError, match="shape"):
        segmenter.segment_many([draw_image(96, 128), np.zeros((4, 4))], [False, False])


def test_size_that_no_image_may_have_is_not_warmed_up_for(segmenter: Segmenter) -> None:
    with pytest.raises(InputError, match="4x4"):
        segmenter.warm_up((4, 4))


def test_no_image_gives_nothing(segmenter: Segmenter) -> None:
    assert segmenter.segment_many([], []) == []


def test_a_segmentation_tells_its_stages_and_scales(segmenter: Segmenter) -> None:
    segmentation = segmenter.segment(draw_image(96, 128))
    assert list(segmentation.stages_ms) == ["pre", "infer", "post"]
    assert all(spent_ms > 0 for spent_ms in segmentation.stages_ms.values())
    assert (segmentation.tiles_run, segmentation.tiles_total) == (1, 1)
    assert segmentation.scales == (1.0,)
