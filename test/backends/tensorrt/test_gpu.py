"""TensorRT on a real GPU: a small network, whole, as torch labels it, cached and recorded.

    python -m pytest test/backends/tensorrt/test_gpu.py -m gpu -s

prints the latencies. Needs the extra `tensorrt`; nothing of `../shared`.
"""

import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_network import draw_image, make_card, make_network

from proxia_segmentation_ros.backends.graph.tensorrt_graph import EngineNetwork, export_module
from proxia_segmentation_ros.backends.tensorrt import device as tensorrt_device
from proxia_segmentation_ros.backends.tensorrt.build import find_unconverted
from proxia_segmentation_ros.inference import Segmenter
from proxia_segmentation_ros.inference.backend_choice import explain_gpu_absence
from proxia_segmentation_ros.inference.engine_cache import describe_environments, list_entries

pytestmark = pytest.mark.gpu
ATTENTION = {"architecture": "hrnet_w18_small_v1_ocr_mscale", "scales": (0.5, 1.0)}
NETWORKS = [pytest.param({}, id="single_scale"), pytest.param(ATTENTION, id="attention")]
IMAGE_HWC = draw_image(120, 160, seed=3)


@pytest.fixture(autouse=True)
def _need_tensorrt() -> None:
    absence = explain_gpu_absence()
    if absence is not None:
        pytest.skip(f"{absence}: pip install 'proxia_segmentation_ros[tensorrt]'")


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


def open_segmenter(folder: Path, backend: str, precision: str, **changes: Any) -> Segmenter:
    card = make_card(**changes)
    return Segmenter(
        make_network(card), card, backend=backend, precision=precision, cache_dir=folder
    )


@pytest.fixture
def count_builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    from proxia_segmentation_ros.backends.tensorrt.build import EngineBuilder

    built: list[str] = []
    real = EngineBuilder.__call__

    def build(self: EngineBuilder, module: object, examples: object, name: str) -> bytes:
        built.append(name)
        return real(self, module, examples, name)  # type: ignore[arg-type]

    monkeypatch.setattr(EngineBuilder, "__call__", build)
    return built


@pytest.mark.parametrize(("precision", "most_other"), [("f32", 0.005), ("f16", 0.03)])
@pytest.mark.parametrize("changes", NETWORKS)
def test_labels_are_those_of_torch(
    engines: Path, changes: dict[str, Any], precision: str, most_other: float
) -> None:
    found = open_segmenter(engines, "tensorrt", precision, **changes).segment(
        IMAGE_HWC, True, min_confidence=0.3
    )
    expected = open_segmenter(engines, "torch", "f32", **changes).segment(
        IMAGE_HWC, True, min_confidence=0.3
    )
    assert found.labels.shape == IMAGE_HWC.shape[:2]
    assert (found.labels != expected.labels).mean() < most_other
    assert found.confidence is not None
    assert expected.confidence is not None
    assert np.abs(found.confidence.astype(int) - expected.confidence).mean() < 5


@pytest.mark.parametrize("precision", ["f32", "f16"])
@pytest.mark.parametrize("changes", NETWORKS)
def test_no_operation_is_left_to_torch(changes: dict[str, Any], precision: str) -> None:
    card = make_card(**changes)
    module = EngineNetwork(make_network(card), card, card.scales, precision).cuda()
    images = torch.zeros((1, 96, 128, 3), dtype=torch.uint8, device="cuda")
    assert find_unconverted(export_module(module, (images,))) == []


def test_engine_comes_from_the_cache_and_fits_this_machine(
    tmp_path: Path, count_builds: list[str]
) -> None:
    first = open_segmenter(tmp_path, "tensorrt", "f16").segment(IMAGE_HWC).labels
    assert len(count_builds) == 2
    second = open_segmenter(tmp_path, "tensorrt", "f16").segment(IMAGE_HWC).labels
    assert len(count_builds) == 2
    np.testing.assert_array_equal(first, second)
    entries = list_entries([tmp_path])
    assert len(entries) == 2
    environments = describe_environments()
    assert [entry.explain_unfit(environments) for entry in entries] == [[], []]


def test_damaged_engine_is_built_anew(tmp_path: Path, count_builds: list[str]) -> None:
    open_segmenter(tmp_path, "tensorrt", "f16").close()
    (entry,) = list_entries([tmp_path])
    entry.blob_path.write_bytes(entry.blob_path.read_bytes()[:-100])
    open_segmenter(tmp_path, "tensorrt", "f16").close()
    assert len(count_builds) == 2


def test_several_images_of_other_sizes_run_as_one_batch(engines: Path) -> None:
    segmenter = open_segmenter(engines, "tensorrt", "f32")
    segmenter.warm_up((120, 160), batch=2)
    images = [IMAGE_HWC, draw_image(90, 100, seed=4)]
    together = segmenter.segment_many(images, [True, False])
    for image, found in zip(images, together, strict=True):
        assert (found.labels != segmenter.segment(image).labels).mean() < 0.005


def test_graph_gives_the_same_as_kernel_by_kernel(
    engines: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = open_segmenter(engines, "tensorrt", "f16")
    replayed = [recorded.segment(draw_image(120, 160, seed=seed)).labels for seed in range(4)]
    assert "no CUDA graph" not in caplog.text
    monkeypatch.setattr(tensorrt_device.CudaDevice, "record", lambda _self, work: work)
    plain = open_segmenter(engines, "tensorrt", "f16")
    for seed, labels in enumerate(replayed):
        np.testing.assert_array_equal(plain.segment(draw_image(120, 160, seed=seed)).labels, labels)


def test_memory_of_the_gpu_stays_as_it_is(engines: Path) -> None:
    segmenter = open_segmenter(engines, "tensorrt", "f16")
    for _ in range(20):
        segmenter.segment(IMAGE_HWC, True)
    before = torch.cuda.mem_get_info()[0]
    for _ in range(500):
        segmenter.segment(IMAGE_HWC, True)
    assert torch.cuda.mem_get_info()[0] >= before - (1 << 20)


def test_latency_is_told(tmp_path: Path) -> None:
    segmenter = Segmenter.from_weights("default", backend="tensorrt", cache_dir=tmp_path)
    image_HWC = draw_image(360, 480)
    segmenter.warm_up((360, 480))
    times_ms = []
    for _ in range(200):
        started_s = time.perf_counter()
        stages_ms = segmenter.segment(image_HWC).stages_ms
        times_ms.append(1e3 * (time.perf_counter() - started_s))
    median_ms = statistics.median(times_ms)
    where = f"default, 480x360, {segmenter.precision}, {segmenter.device_name}"
    sys.stdout.write(f"\n{where}: median {median_ms:.2f} ms, last one's stages {stages_ms}\n")
    assert set(stages_ms) == {"pre", "infer", "post"}
