"""Pruned inference as callers of the segmenter see it, with both backends."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_network import draw_image, make_card, make_network

from proxia_segmentation_ros.backends.pruned.tile_selection import Pruning
from proxia_segmentation_ros.errors import BackendError, ConfigError
from proxia_segmentation_ros.inference import Segmenter
from proxia_segmentation_ros.inference.backend_choice import make_pruned_backend

pytestmark = pytest.mark.slow

CARD = make_card(
    architecture="hrnet_w18_small_v1_ocr_mscale", scales=(0.5, 1.0), size_hw=(192, 256)
)
# The smallest scale, and a tile or two of the larger one.
BUDGET = 0.6


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return make_network(CARD)


@pytest.fixture(scope="module", params=["openvino", "torch"])
def options(request: pytest.FixtureRequest, shared_cache: Path) -> dict:
    return {"backend": request.param, "precision": "f32", "cache_dir": shared_cache}


@pytest.fixture(scope="module")
def segmenter(model: torch.nn.Module, options: dict) -> Iterator[Segmenter]:
    segmenter = Segmenter(
        model, CARD, tile_threshold=0.0, tile_budget=BUDGET, tile_max_age=100, **options
    )
    yield segmenter
    segmenter.close()


def test_pruned_labels_are_near_the_plain_ones_and_say_what_ran(
    model: torch.nn.Module, segmenter: Segmenter, options: dict
) -> None:
    plain = Segmenter(model, CARD, tile_threshold=0.0, **options)
    image_HWC = draw_image(200, 300)
    full, pruned = plain.segment(image_HWC), segmenter.segment(image_HWC)
    assert pruned.labels.shape == full.labels.shape
    assert 0.5 <= np.mean(full.labels == pruned.labels) < 1.0
    assert 1 < pruned.tiles_run < pruned.tiles_total
    assert pruned.scales == full.scales == (0.5, 1.0)
    assert set(pruned.stages_ms) == {"pre", "infer", "post"}


def test_backends_agree_on_pruned_labels(model: torch.nn.Module, shared_cache: Path) -> None:
    image_HWC = draw_image(192, 256, seed=4)
    first, second = (
        Segmenter(
            model,
            CARD,
            backend=name,
            precision="f32",
            tile_threshold=0.0,
            tile_budget=BUDGET,
            cache_dir=shared_cache,
        ).segment(image_HWC, True)
        for name in ("openvino", "torch")
    )
    assert np.mean(first.labels == second.labels) >= 0.999
    assert first.confidence is not None
    assert second.confidence is not None
    assert np.abs(first.confidence.astype(int) - second.confidence).mean() <= 1
    assert first.tiles_run == second.tiles_run


def test_frames_of_a_stream_reuse_tiles_and_still_images_do_not(segmenter: Segmenter) -> None:
    image_HWC = draw_image(192, 256, seed=1)
    stills = [segmenter.segment(image_HWC) for _ in range(3)]
    assert stills[0].tiles_run == stills[1].tiles_run == stills[2].tiles_run
    for still in stills[1:]:
        assert (still.labels == stills[0].labels).all()
    frames = [segmenter.segment(image_HWC, stream="front") for _ in range(8)]
    assert frames[0].tiles_run == stills[0].tiles_run > 1
    # Each tile ran once, and what they make together is still there.
    assert sum(frame.tiles_run - 1 for frame in frames) == frames[0].tiles_total - 1
    assert frames[-1].tiles_run == 1
    assert frames[-1].scales == (0.5, 1.0)


def test_streams_that_take_turns_do_not_disturb_each_other(segmenter: Segmenter) -> None:
    left_HWC, right_HWC = draw_image(192, 256, seed=2), draw_image(192, 256, seed=3)
    alone = [segmenter.segment(left_HWC, stream="alone").labels for _ in range(3)]
    mixed = []
    for _ in range(3):
        mixed.append(segmenter.segment(left_HWC, stream="left").labels)
        segmenter.segment(right_HWC, stream="right")
    for labels, mixed_labels in zip(alone, mixed, strict=True):
        assert (labels == mixed_labels).all()


def test_several_images_of_several_streams_get_what_they_get_alone(segmenter: Segmenter) -> None:
    images = [draw_image(192, 256, seed=5), draw_image(100, 120, seed=6)]
    alone = [segmenter.segment(image) for image in images]
    together = segmenter.segment_many(images, [False, False], streams=["c", "d"])
    for found_alone, found_together in zip(alone, together, strict=True):
        assert (found_alone.labels == found_together.labels).all()


def test_read_only_images_are_taken(segmenter: Segmenter) -> None:
    image_HWC = draw_image(192, 256)
    image_HWC.flags.writeable = False
    assert segmenter.segment(image_HWC).labels.shape == (192, 256)


def test_a_tight_latency_budget_leaves_larger_scales_out(
    model: torch.nn.Module, options: dict
) -> None:
    segmenter = Segmenter(
        model, CARD, tile_threshold=0.0, latency_budget_ms=0.01, tile_max_age=0, **options
    )
    found = [segmenter.segment(draw_image(192, 256)) for _ in range(5)]
    assert all(frame.scales == (0.5,) and frame.tiles_run == 1 for frame in found)


def test_a_latency_budget_that_can_not_be_kept_is_told_once(
    model: torch.nn.Module, options: dict, caplog: pytest.LogCaptureFixture
) -> None:
    segmenter = Segmenter(
        model, CARD, tile_threshold=0.0, latency_budget_ms=0.01, tile_max_age=0, **options
    )
    with caplog.at_level("WARNING"):
        for _ in range(6):
            segmenter.segment(draw_image(120, 160))
    told = [
        record.getMessage()
        for record in caplog.records
        if "latency_budget_ms" in record.getMessage()
    ]
    assert len(told) == 1
    assert "latency_budget_ms is 0.01; expected more than the smallest scale" in told[0]


def test_a_wide_latency_budget_runs_everything_in_the_end(
    model: torch.nn.Module, options: dict
) -> None:
    segmenter = Segmenter(
        model, CARD, tile_threshold=0.0, latency_budget_ms=10_000, tile_max_age=0, **options
    )
    plain = Segmenter(model, CARD, tile_threshold=0.0, **options)
    image_HWC = draw_image(192, 256)
    found = [segmenter.segment(image_HWC) for _ in range(60)]
    assert found[-1].tiles_run == found[-1].tiles_total
    assert np.mean(found[-1].labels == plain.segment(image_HWC).labels) >= 0.9999


def test_a_single_scale_refuses_a_latency_budget(model: torch.nn.Module, options: dict) -> None:
    with pytest.raises(ConfigError, match="latency_budget_ms is 50 with the one scale"):
        Segmenter(model, CARD, scales=(1.0,), latency_budget_ms=50, **options)


def test_a_single_scale_has_no_tiles_to_leave_out(model: torch.nn.Module, options: dict) -> None:
    segmenter = Segmenter(model, CARD, scales=(1.0,), tile_threshold=0.5, **options)
    assert segmenter.pruning.is_off
    found = segmenter.segment(draw_image(192, 256), stream="front")
    assert (found.tiles_run, found.tiles_total, found.scales) == (1, 1, (1.0,))


class WholeBackend:
    """Knows nothing of passes at single scales."""

    name = "whole"


def test_a_backend_without_single_passes_runs_all_of_it_and_has_no_latency_budget(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend: Any = WholeBackend()
    assert make_pruned_backend(backend, (0.5, 1.0), Pruning(), 3) is backend
    assert "runs all scales whole" in caplog.text
    with pytest.raises(BackendError, match="latency_budget_ms"):
        make_pruned_backend(backend, (0.5, 1.0), Pruning(latency_budget_ms=5.0), 3)


def test_sizes_of_the_input_have_networks_of_their_own(
    model: torch.nn.Module, options: dict
) -> None:
    segmenter = Segmenter(model, CARD, size="input", tile_budget=0.5, **options)
    for size_hw in ((97, 131), (64, 200), (97, 131)):
        found = segmenter.segment(draw_image(*size_hw))
        assert found.labels.shape == size_hw
        assert found.tiles_run < found.tiles_total
