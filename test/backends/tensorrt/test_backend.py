"""The `tensorrt` backend on a CPU that stands in for the GPU: everything but CUDA itself."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_device import FakeBuild, FakeDevice, FakeEngine
from tiny_network import draw_image, make_card, make_network

from proxia_segmentation_ros.backends import compiled_cache
from proxia_segmentation_ros.backends.compiled_cache import CompiledCache
from proxia_segmentation_ros.backends.contract import FramePlan
from proxia_segmentation_ros.backends.network_source import LoadedNetwork
from proxia_segmentation_ros.backends.precision import choose_precision
from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.backends.tensorrt.backend import TensorRtBackend
from proxia_segmentation_ros.backends.tensorrt.build import (
    WORKSPACES,
    build_within_memory,
    find_writable_folder,
    refuse_partial,
)
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.inference import Segmenter, backend_choice
from proxia_segmentation_ros.inference.engine_build import (
    EngineBuildRequest,
    build_engines,
    find_missing_batches,
)

NETWORK_HW = (96, 128)
SIZES_HW = [(96, 128), (120, 160), (60, 80)]


def make_backend(
    folder: Path,
    build: FakeBuild,
    device: FakeDevice | None = None,
    may_build: bool = True,
    **changes: Any,
) -> TensorRtBackend:
    card = make_card(**changes)
    return TensorRtBackend(
        LoadedNetwork(make_network(card), card),
        precision="f32",
        scales=card.scales,
        cache=CompiledCache(folder),
        may_build=may_build,
        device=device or FakeDevice(),
        build=build,
    )


def make_plans(sizes_hw: list[tuple[int, int]], with_confidence: bool) -> tuple[FramePlan, ...]:
    return tuple(
        FramePlan(
            input_hw=size_hw,
            network_hw=NETWORK_HW,
            output_hw=size_hw,
            with_confidence=with_confidence,
        )
        for size_hw in sizes_hw
    )


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.mark.parametrize("sizes_hw", [SIZES_HW[:1], SIZES_HW[1:]], ids=["one", "two_sizes"])
def test_labels_and_confidence_are_those_of_torch(
    engines: Path, sizes_hw: list[tuple[int, int]]
) -> None:
    backend = make_backend(engines, FakeBuild())
    card = make_card()
    reference = Segmenter(make_network(card), card, backend="torch", precision="f32")
    images = [draw_image(*size_hw, seed=7) for size_hw in sizes_hw]
    clock = StageClock()
    found = backend.prepare(make_plans(sizes_hw, True))(images, 0.4, clock)
    assert list(clock.stages_ms) == ["pre", "infer", "post"]
    for image, labelled in zip(images, found, strict=True):
        expected = reference.segment(image, True, min_confidence=0.4)
        assert (labelled.labels_HW.dtype, labelled.labels_HW.shape) == (np.uint8, image.shape[:2])
        assert (labelled.labels_HW != expected.labels).mean() < 1e-3
        assert np.abs(labelled.confidence_HW.astype(int) - expected.confidence).max() <= 1


def test_results_stay_when_the_next_frame_comes(engines: Path) -> None:
    runner = make_backend(engines, FakeBuild()).prepare(make_plans(SIZES_HW[:1], True))
    (first,) = runner([draw_image(*NETWORK_HW, seed=1)], 0.0, StageClock())
    kept = first.labels_HW.copy(), first.confidence_HW.copy()
    (second,) = runner([draw_image(*NETWORK_HW, seed=2)], 0.0, StageClock())
    np.testing.assert_array_equal(first.labels_HW, kept[0])
    np.testing.assert_array_equal(first.confidence_HW, kept[1])
    assert (second.labels_HW != first.labels_HW).any()


def test_more_than_255_classes_come_as_uint16(tmp_path: Path) -> None:
    card = make_card(classes=300)
    backend = TensorRtBackend(
        LoadedNetwork(make_network(card), card),
        precision="f32",
        scales=card.scales,
        cache=CompiledCache(tmp_path),
        device=FakeDevice(),
        build=FakeBuild(),
    )
    reference = Segmenter(make_network(card), card, backend="torch", precision="f32")
    image = draw_image(*NETWORK_HW)
    (found,) = backend.prepare(make_plans(SIZES_HW[:1], False))([image], 0.0, StageClock())
    assert found.confidence_HW is None
    assert found.labels_HW.dtype == np.uint16
    assert found.labels_HW.max() > 255
    assert (found.labels_HW != reference.segment(image).labels).mean() < 1e-3


def test_a_pass_is_recorded_once_and_then_replayed(engines: Path) -> None:
    device = FakeDevice()
    runner = make_backend(engines, FakeBuild(), device).prepare(make_plans(SIZES_HW[:1], False))
    for seed in range(3):
        runner([draw_image(*NETWORK_HW, seed=seed)], 0.0, StageClock())
    assert (device.recorded, device.replayed) == (1, 3)


@pytest.mark.slow
def test_engines_come_from_the_cache_and_other_versions_are_built_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    build = FakeBuild()
    plans = make_plans(SIZES_HW[1:2], False)
    backend = make_backend(tmp_path, build)
    assert not backend.has_engine(NETWORK_HW)
    backend.prepare(plans)
    assert backend.has_engine(NETWORK_HW)
    assert build.built == ["network tiny for 1 x 128x96", "argmax for 160x120"]
    make_backend(tmp_path, build).prepare(plans)
    assert len(build.built) == 2
    assert "from the cache" in caplog.text
    newer = make_backend(tmp_path, build, FakeDevice("11.1.0"))
    assert not newer.has_engine(NETWORK_HW)
    newer.prepare(plans)
    assert len(build.built) == 4
    assert "tensorrt was 11.0.0, is 11.1.0" in caplog.text


def test_network_whose_pass_finds_no_memory_is_not_held(tmp_path: Path) -> None:
    class FullDevice(FakeDevice):
        loaded = 0

        def load(self, blob: bytes) -> FakeEngine:
            self.loaded += 1
            return super().load(blob)

        def record(self, work: Callable[[], None]) -> Callable[[], None]:
            raise BackendError("the GPU has no memory")

    device = FullDevice()
    backend = make_backend(tmp_path, FakeBuild(), device)
    with pytest.raises(BackendError, match="no memory"):
        backend.prepare(make_plans(SIZES_HW[:2], False))
    before = device.loaded
    backend.load_network(NETWORK_HW, 2)
    assert device.loaded == before + 1


def spoil_engine(folder: Path) -> None:
    """Put what verifies, and is no engine, in the place of the folder's only engine."""
    (sidecar,) = folder.rglob("*.json")
    CompiledCache(folder).store(json.loads(sidecar.read_text())["key"], b"no engine")


def test_engine_that_the_gpu_refuses_is_built_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build = FakeBuild()
    make_backend(tmp_path, build).load_network(NETWORK_HW)
    spoil_engine(tmp_path)
    make_backend(tmp_path, build).load_network(NETWORK_HW)
    assert len(build.built) == 2
    assert "not an engine" in caplog.text
    make_backend(tmp_path, build).load_network(NETWORK_HW)
    assert len(build.built) == 2


@pytest.mark.slow
def test_attention_network_runs_at_its_scales(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "architecture": "hrnet_w18_small_v1_ocr_mscale",
        "scales": (0.5, 1.0),
    }
    backend = make_backend(tmp_path, FakeBuild(), **changes)
    card = make_card(**changes)
    reference = Segmenter(make_network(card), card, backend="torch", precision="f32")
    image = draw_image(*NETWORK_HW, seed=4)
    (found,) = backend.prepare(make_plans(SIZES_HW[:1], False))([image], 0.0, StageClock())
    assert found.scales == (0.5, 1.0)
    assert (found.labels_HW != reference.segment(image).labels).mean() < 1e-3


def test_operations_without_a_converter_are_named() -> None:
    refuse_partial([], "network")
    with pytest.raises(BackendError, match=r"leave TensorRT for aten\.erfinv\.default, aten\.foo"):
        refuse_partial(["aten.erfinv.default", "aten.foo"], "network")


def make_short_error(kind: str) -> RuntimeError:
    error = RuntimeError("While interpreting the module got an error: ")
    error.__cause__ = AssertionError() if kind == "no engine" else torch.OutOfMemoryError("full")
    return error


@pytest.mark.parametrize("kind", ["no engine", "out of memory"])
def test_build_that_lacks_memory_tries_smaller_workspaces(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []

    def build(workspace: int) -> bytes:
        tried.append(workspace)
        if len(tried) < 3:
            raise make_short_error(kind)
        return b"engine"

    assert build_within_memory(build, "network") == b"engine"
    assert tried == list(WORKSPACES[:3])
    assert caplog.text.count("memory may not suffice") == 2


def test_build_that_never_fits_says_what_to_do() -> None:
    def build(workspace: int) -> bytes:
        raise make_short_error("no engine")

    with pytest.raises(BackendError, match="64 MiB; expected enough free memory"):
        build_within_memory(build, "network")


def test_build_that_fails_otherwise_is_not_tried_again() -> None:
    tried: list[int] = []

    def build(workspace: int) -> bytes:
        tried.append(workspace)
        raise RuntimeError("the whole graph, printed") from RuntimeError("no such layer")

    with pytest.raises(BackendError, match="can't build network \\(no such layer\\); expected"):
        build_within_memory(build, "network")
    assert len(tried) == 1


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBuild:
    """Let this machine seem to have a GPU; return what builds its engines, for a `folder`."""
    build = FakeBuild(tmp_path / "engines")
    monkeypatch.setenv("PROXIA_CACHE_DIR", str(build.folder))

    def make(
        source: object,
        precision: str,
        scales: tuple[float, ...],
        cache_dir: object,
        may_build: bool = True,
    ) -> object:
        return TensorRtBackend(
            source,  # type: ignore[arg-type]
            precision=choose_precision(precision, "tensorrt", frozenset()),
            scales=scales,
            cache=CompiledCache(build.folder),
            may_build=may_build,
            device=FakeDevice(),
            build=build,
        )

    monkeypatch.setattr(backend_choice, "explain_gpu_absence", lambda: None)
    monkeypatch.setattr(backend_choice, "make_tensorrt_backend", make)
    return build


def test_auto_takes_the_gpu_where_there_is_one(gpu: FakeBuild, tiny_weights: Path) -> None:
    found = Segmenter.from_weights(tiny_weights, precision="f32")
    assert (found.backend, found.device_name) == ("tensorrt", "fake GPU")
    image = draw_image(96, 128)
    expected = Segmenter.from_weights(tiny_weights, backend="torch", precision="f32")
    assert (found.segment(image).labels != expected.segment(image).labels).mean() < 1e-3


def test_auto_goes_on_without_the_gpu_and_says_so(
    gpu: FakeBuild, tiny_weights: Path, shared_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.failure = BackendError("no memory on the GPU")
    found = Segmenter.from_weights(tiny_weights, cache_dir=shared_cache)
    assert found.backend == "openvino"
    assert "the GPU stays unused: no memory on the GPU. Going on with openvino" in caplog.text


def test_tensorrt_that_was_asked_for_is_not_replaced(gpu: FakeBuild, tiny_weights: Path) -> None:
    gpu.failure = BackendError("no memory on the GPU")
    with pytest.raises(BackendError, match="no memory"):
        Segmenter.from_weights(tiny_weights, backend="tensorrt")


def test_network_that_may_not_be_built_comes_from_the_cache_or_not_at_all(
    gpu: FakeBuild, tiny_weights: Path
) -> None:
    options: dict[str, Any] = {"backend": "tensorrt", "precision": "f32"}
    with pytest.raises(BackendError, match=r"holds no engine .* 1 x 128x96; expected one that"):
        Segmenter.from_weights(tiny_weights, may_build=False, **options)
    assert gpu.built == []
    Segmenter.from_weights(tiny_weights, **options).close()
    found = Segmenter.from_weights(tiny_weights, may_build=False, **options)
    # The rule for a camera's size takes seconds.
    found.segment(draw_image(60, 80))
    assert gpu.built == ["network tiny for 1 x 128x96", "argmax for 80x60"]
    with pytest.raises(BackendError, match="for 2 x 128x96"):
        found.warm_up((60, 80), 2)


def test_refused_engine_that_may_not_be_built_is_an_error_and_forgotten(tmp_path: Path) -> None:
    backend = make_backend(tmp_path, FakeBuild())
    backend.load_network(NETWORK_HW)
    spoil_engine(tmp_path)
    assert backend.has_engine(NETWORK_HW)
    build = FakeBuild()
    with pytest.raises(BackendError, match="holds no engine that the GPU takes"):
        make_backend(tmp_path, build, may_build=False).load_network(NETWORK_HW)
    assert build.built == []
    assert not backend.has_engine(NETWORK_HW)


def make_request(weights: Path) -> EngineBuildRequest:
    return EngineBuildRequest(weights=str(weights), backend="tensorrt", precision="f32", batch=3)


def test_what_an_order_builds_is_missing_no_more(gpu: FakeBuild, tiny_weights: Path) -> None:
    request = make_request(tiny_weights)
    assert find_missing_batches(request) == [1, 2]
    assert build_engines(request, lambda text: None).backend == "tensorrt"
    assert find_missing_batches(request) == []


def test_engines_that_could_not_be_kept_are_an_error(
    gpu: FakeBuild, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiled_cache, "write_file_atomically", run_full)
    with pytest.raises(BackendError, match="engines for 1 and 2 images together were built, but"):
        build_engines(make_request(tiny_weights), lambda text: None)


def test_nothing_is_built_for_a_folder_that_can_not_be_written(
    gpu: FakeBuild, tiny_weights: Path
) -> None:
    gpu.folder.write_text("in the way")
    with pytest.raises(BackendError, match=r"cache folder .* can't be written .*PROXIA_CACHE_DIR"):
        build_engines(make_request(tiny_weights), lambda text: None)
    assert gpu.built == []


def test_batch_that_memory_does_not_suffice_for_leaves_the_smaller_one(
    gpu: FakeBuild, tiny_weights: Path
) -> None:
    gpu.refused = "for 2 x"
    request, told = make_request(tiny_weights), list[str]()
    built = build_engines(request, told.append)
    assert (built.backend, built.batch) == ("tensorrt", 1)
    assert find_missing_batches(request) == [2]
    assert any("can't warm up for 3 images together" in text for text in told)


def test_tensorrt_without_a_gpu_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tiny_weights: Path
) -> None:
    monkeypatch.setattr(backend_choice, "explain_gpu_absence", lambda: "torch finds no GPU")
    with pytest.raises(BackendError, match="torch finds no GPU; expected an NVIDIA GPU"):
        Segmenter.from_weights(tiny_weights, backend="tensorrt")
    assert Segmenter.from_weights(tiny_weights, size="input").backend == "openvino"


def test_measurements_of_kernels_find_a_place_where_the_cache_has_none(tmp_path: Path) -> None:
    assert find_writable_folder(tmp_path / "deep" / "cache") == tmp_path / "deep" / "cache"
    (tmp_path / "file").write_text("in the way")
    elsewhere = find_writable_folder(tmp_path / "file" / "cache")
    assert elsewhere.is_dir()
    elsewhere.rmdir()


def test_size_of_the_input_is_refused_before_it_costs_minutes(
    gpu: FakeBuild, tiny_weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BackendError, match="takes minutes for each size; expected card or WxH"):
        Segmenter.from_weights(tiny_weights, backend="tensorrt", size="input")
    assert Segmenter.from_weights(tiny_weights, size="input").backend == "openvino"
    assert "the GPU stays unused" in caplog.text
