"""Larger scales only where they are asked for, with both backends and a small random network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_network import draw_image, make_card, make_network

from proxia_segmentation_ros.backends.graph.torch_graph import NetworkGraph
from proxia_segmentation_ros.backends.network_source import LoadedNetwork
from proxia_segmentation_ros.backends.pruned.network import ComputeLimits, PrunedNetwork
from proxia_segmentation_ros.backends.pruned.scale_gate import ScaleGate
from proxia_segmentation_ros.backends.scale_passes import ScaleMaps, ScalePasses
from proxia_segmentation_ros.inference.backend_choice import open_backend

HW = (96, 128)
LARGE_HW = (192, 256)
SCALES = (0.5, 1.0, 2.0)
CARD = make_card(architecture="hrnet_w18_small_v1_ocr_mscale", scales=(0.5, 1.0))
EVERYTHING = ComputeLimits(threshold=0.0, budget=1.0)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return make_network(CARD)


@pytest.fixture(scope="module", params=["openvino", "torch"])
def passes(
    request: pytest.FixtureRequest, model: torch.nn.Module, shared_cache: Path
) -> ScalePasses:
    source = LoadedNetwork(model, CARD)
    backend: Any = open_backend(source, request.param, "f32", SCALES, 0, shared_cache, None)
    passes: ScalePasses = backend.make_passes(HW)
    return passes


@pytest.fixture
def network(passes: ScalePasses) -> PrunedNetwork:
    return PrunedNetwork(passes, SCALES, HW, cell_px=48)


def compute_plainly(model: torch.nn.Module, image_HWC: np.ndarray, scales: tuple) -> np.ndarray:
    with torch.inference_mode():
        graph = NetworkGraph(model, CARD, scales).eval()
        return graph(torch.from_numpy(image_HWC)[None]).numpy()


@pytest.mark.parametrize("scales", [(0.5, 1.0), SCALES, (1.0, 1.5)])
@pytest.mark.slow
def test_all_tiles_chosen_is_plain_fusing(
    passes: ScalePasses, model: torch.nn.Module, scales: tuple[float, ...]
) -> None:
    image_HWC = draw_image(*HW)
    seen = PrunedNetwork(passes, scales, HW, cell_px=48).run(image_HWC, EVERYTHING)
    plain_1KHW = compute_plainly(model, image_HWC, scales)
    np.testing.assert_allclose(seen.logits_1Khw, plain_1KHW, atol=2e-4)
    assert (seen.logits_1Khw.argmax(1) == plain_1KHW.argmax(1)).mean() >= 0.9999
    assert seen.tiles_run == seen.tiles_total
    assert seen.scales == scales
    assert seen.work == pytest.approx(sum(scale**2 for scale in scales))


@pytest.mark.slow
def test_quick_fusing_of_whole_scales_is_near_plain_fusing(
    network: PrunedNetwork, model: torch.nn.Module
) -> None:
    image_HWC = draw_image(*HW)
    # Nothing but rounding is missing from the budget, so nothing is exact and all is there.
    seen = network.run(image_HWC, ComputeLimits(threshold=0.0, budget=1 - 1e-9))
    assert seen.logits_1Khw.shape[2:] == (48, 64)
    plain_hw = compute_plainly(model, image_HWC, SCALES)[:, :, ::2, ::2].argmax(1)
    assert (seen.logits_1Khw.argmax(1) == plain_hw).mean() >= 0.9


def test_no_demand_leaves_the_smallest_scale_alone(
    network: PrunedNetwork, passes: ScalePasses
) -> None:
    image_HWC = draw_image(*HW)
    seen = network.run(image_HWC, ComputeLimits(threshold=1.0, budget=1.0))
    smallest = passes.run_full_image(image_HWC, 0.5, is_largest=False)
    np.testing.assert_array_equal(seen.logits_1Khw, smallest.logits_1Khw)
    assert seen.scales == (0.5,)
    assert (seen.tiles_run, seen.work) == (1, 0.25)


@pytest.mark.parametrize("budget", [0.0, 0.1, 0.2, 0.3, 0.6, 1.0])
@pytest.mark.slow
def test_work_stays_within_the_budget(network: PrunedNetwork, budget: float) -> None:
    seen = network.run(draw_image(*HW), ComputeLimits(threshold=0.0, budget=budget))
    assert 0.25 <= seen.work <= 0.25 + budget * 5.0 + 1e-6
    least = network.compute_tile_work(1.0) / 5.0
    assert (seen.tiles_run > 1) == (budget >= least)


def test_only_chosen_tiles_differ_from_the_smaller_scale(passes: ScalePasses) -> None:
    network = PrunedNetwork(passes, (0.5, 1.0), HW, cell_px=32)
    image_HWC = draw_image(*HW)
    tile_budget = network.compute_tile_work(1.0)
    seen = network.run(image_HWC, ComputeLimits(threshold=0.0, budget=tile_budget))
    assert seen.tiles_run == 2
    smallest = passes.run_full_image(image_HWC, 0.5, is_largest=False)
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(smallest.logits_1Khw.copy()), size=(24, 32), mode="bilinear"
    ).numpy()
    differs_hw = np.abs(seen.logits_1Khw - enlarged).max(1)[0] > 1e-3
    changed = [tile for tile in network.grids[1.0].tiles if differs_hw[tile.in_map].any()]
    assert len(changed) == 1
    assert differs_hw[changed[0].in_map].mean() > 0.9


class CountingPasses:
    """Torch-free passes that record what ran; gating score is where the image is bright."""

    tile_batches = (1, 2)

    def __init__(self, attention: float = 0.5) -> None:
        self.attention = attention
        self.wholes: list[float] = []
        self.batches: list[int] = []
        self.contexts: list[float] = []

    def run_full_image(self, image_HWC: np.ndarray, scale: float, *, is_largest: bool) -> ScaleMaps:
        self.wholes.append(scale)
        height, width = (round(side * scale) // 4 for side in image_HWC.shape[:2])
        attention = None if is_largest else np.full((1, 1, height, width), self.attention)
        logits_1Khw = np.zeros((1, 2, height, width), np.float32)
        return ScaleMaps(logits_1Khw, np.full((1, 3, 2, 1), scale), attention)

    def run_tiles(self, windows_THWC, context_1CK1, *, is_largest):
        self.batches.append(len(windows_THWC))
        self.contexts.append(float(context_1CK1[0, 0, 0, 0]))
        count, height, width = windows_THWC.shape[:3]
        logits = np.zeros((count, 2, height // 4, width // 4), np.float32)
        return logits, None if is_largest else np.full_like(logits[:, :1], self.attention)

    def start_fusion(self, maps):
        from proxia_segmentation_ros.backends.scale_passes import FusedMaps

        weight = 1 - maps.attention_11hw.astype(np.float32)
        return FusedMaps(maps.logits_1Khw, maps.logits_1Khw, weight, weight)

    def fuse(self, before, logits_1Khw, attention_11hw, has_run_11hw):
        from proxia_segmentation_ros.backends.scale_passes import FusedMaps

        weight = has_run_11hw * before.weight_11hw.mean() * (1 - self.attention)
        return FusedMaps(logits_1Khw, logits_1Khw, weight, weight)

    def fuse_last(self, before, logits_1Khw, has_run_11hw):
        return logits_1Khw

    def fuse_full_images(self, maps):
        return np.zeros((1, 2, *LARGE_HW), np.float32)


def make_counting(
    scales: tuple[float, ...] = (0.5, 1.0), attention: float = 0.5
) -> tuple[CountingPasses, PrunedNetwork]:
    passes = CountingPasses(attention)
    counted: Any = passes
    return passes, PrunedNetwork(counted, scales, LARGE_HW, cell_px=32, halo_px=8)


def test_tiles_run_in_static_batches_in_the_context_of_the_smaller_whole_scale() -> None:
    passes, network = make_counting()
    budget = 3 * network.compute_tile_work(1.0) + 1e-9
    assert (
        network.run(draw_image(*LARGE_HW), ComputeLimits(threshold=0.0, budget=budget)).tiles_run
        == 4
    )
    assert passes.batches == [2, 1]
    assert passes.contexts == [0.5, 0.5]


def test_tiles_of_the_largest_scale_have_the_context_of_the_middle_one_seen_whole() -> None:
    passes, network = make_counting(SCALES)
    budget = (1 + network.compute_tile_work(2.0) + 1e-9) / 5
    network.run(draw_image(*LARGE_HW), ComputeLimits(threshold=0.0, budget=budget))
    assert passes.wholes == [0.5, 1.0]
    assert passes.contexts == [1.0]


def test_tiles_that_are_as_much_work_as_the_whole_run_as_the_whole() -> None:
    passes, network = make_counting()
    network.run(draw_image(*LARGE_HW), ComputeLimits(threshold=0.0, budget=1.0))
    assert passes.wholes == [0.5, 1.0]
    assert passes.batches == []


def test_frames_of_a_camera_reuse_unchanged_tiles_for_so_many_frames() -> None:
    _passes, network = make_counting()
    limits = ComputeLimits(threshold=0.0, budget=1.0, max_age=2)
    image_HWC = draw_image(*LARGE_HW)
    runs = [network.run(image_HWC, limits, "front").tiles_run for _ in range(7)]
    everything = network.tiles_total
    assert runs == [everything, 1, 1, everything, 1, 1, everything]


def test_cameras_and_still_images_share_no_tiles() -> None:
    _, network = make_counting()
    limits = ComputeLimits(threshold=0.0, budget=1.0, max_age=5)
    image_HWC = draw_image(*LARGE_HW)
    runs = [network.run(image_HWC, limits, name).tiles_run for name in ("a", "b", "", "", "a")]
    everything = network.tiles_total
    assert runs == [everything, everything, everything, everything, 1]


def test_tiles_of_a_budget_add_up_over_frames_that_do_not_change() -> None:
    _passes, network = make_counting()
    limits = ComputeLimits(threshold=0.0, budget=network.compute_tile_work(1.0) + 1e-9, max_age=100)
    image_HWC = draw_image(*LARGE_HW)
    runs = [
        network.run(image_HWC, limits, "a").tiles_run
        for _ in range(len(network.grids[1.0].tiles) + 2)
    ]
    assert runs == [2] * len(network.grids[1.0].tiles) + [1, 1]


def test_a_scale_that_gives_all_weight_away_is_dropped_for_a_camera_and_not_for_stills() -> None:
    passes, network = make_counting(attention=0.0)
    limits = ComputeLimits(threshold=0.0, budget=1.0)
    for _ in range(100):
        network.run(draw_image(*LARGE_HW), limits, "front")
    passes.wholes.clear()
    assert network.run(draw_image(*LARGE_HW), limits, "front").scales == (1.0,)
    assert passes.wholes == [1.0]
    assert network.run(draw_image(*LARGE_HW), limits).scales == (0.5, 1.0)


def test_the_smallest_scale_stays_where_the_next_one_does_not_fit_the_budget() -> None:
    _, network = make_counting(attention=0.0)
    for _ in range(100):
        network.run(draw_image(*LARGE_HW), ComputeLimits(threshold=0.0, budget=1.0), "front")
    seen = network.run(draw_image(*LARGE_HW), ComputeLimits(threshold=0.0, budget=0.5), "front")
    assert seen.scales[0] == 0.5
    assert seen.work <= 0.25 + 0.5


def test_levels_of_work_rise_from_nothing_to_everything() -> None:
    _, network = make_counting(SCALES)
    works = network.list_work_levels()
    assert works[0] == 0
    assert works[-1] == 5.0
    assert 1.0 in works
    assert sorted(set(works)) == works


@pytest.mark.parametrize("size_hw", [(97, 131), (75, 101)])
@pytest.mark.slow
def test_sizes_that_strides_do_not_divide_run_too(
    model: torch.nn.Module, size_hw: tuple[int, int], shared_cache: Path
) -> None:
    source = LoadedNetwork(model, CARD)
    backend: Any = open_backend(source, "torch", "f32", SCALES, 0, None, None)
    network = PrunedNetwork(backend.make_passes(size_hw), SCALES, size_hw, cell_px=32)
    for budget in (0.1, 0.3, 1.0):
        seen = network.run(draw_image(*size_hw), ComputeLimits(threshold=0.0, budget=budget))
        assert np.isfinite(seen.logits_1Khw).all()


def test_warm_up_makes_every_graph_that_frames_may_need(
    model: torch.nn.Module, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = LoadedNetwork(model, CARD)
    backend: Any = open_backend(source, "openvino", "f32", SCALES, 0, shared_cache, None)
    compile_part = backend.compile_part
    made: list[str] = []

    def count_parts(part: str, *further: Any, **named: Any) -> Any:
        made.append(part)
        return compile_part(part, *further, **named)

    monkeypatch.setattr(backend, "compile_part", count_parts)
    network = PrunedNetwork(backend.make_passes(HW), SCALES, HW, cell_px=48)
    network.warm_up(1.0)
    made_by_warm_up = list(made)
    assert len(made_by_warm_up) > 3
    for budget in np.linspace(0, 1, 12):
        for threshold in (0.0, 0.02, 0.2):
            network.run(draw_image(*HW), ComputeLimits(threshold, float(budget)), "a")
            network.run(draw_image(*HW, seed=3), ComputeLimits(threshold, float(budget)))
    monkeypatch.setattr(ScaleGate, "choose", lambda _self: SCALES[1:])
    assert network.run(draw_image(*HW), ComputeLimits(0.0, 1.0), "b").scales == SCALES[1:]
    assert made == made_by_warm_up


@pytest.mark.slow
def test_a_larger_scale_that_was_left_out_comes_back(
    network: PrunedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {"weight": 0.0}
    start = network.passes.start_fusion

    def start_fusion(maps: ScaleMaps) -> object:
        fused = start(maps)
        weight, gating = (
            np.full_like(share_11hw, left["weight"])
            for share_11hw in (fused.weight_11hw, fused.gating_11hw)
        )
        return replace(fused, weight_11hw=weight, gating_11hw=gating)

    monkeypatch.setattr(network.passes, "start_fusion", start_fusion)
    image_HWC, limits = draw_image(*HW), ComputeLimits(threshold=0.04, budget=1.0)
    ran = [network.run(image_HWC, limits, "front").scales for _ in range(82)]
    assert ran[-2:] == [(0.5,), (0.5,)]
    left["weight"] = 0.6
    for _ in range(10):
        seen = network.run(image_HWC, limits, "front")
    assert 1.0 in seen.scales
