"""What serves at first, and which engines are ordered for later."""

import json
import sys

import pytest

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.inference.segmenter_factory import find_missing_engines


def test_nothing_is_missing_where_a_cpu_serves() -> None:
    for backend in ("openvino", "torch"):
        settings = NodeSettings.from_flat({"inference.backend": backend})
        assert find_missing_engines(settings) is None


class CachedBackend:
    batch_sizes = (1, 2, 4)

    def __init__(self, cached: set[int]) -> None:
        self._cached = cached
        self.asked: list[tuple[tuple[int, int], int]] = []

    def has_engine(self, network_hw: tuple[int, int], batch: int = 1) -> bool:
        self.asked.append((network_hw, batch))
        return batch in self._cached


def pretend_gpu(monkeypatch: pytest.MonkeyPatch, cached: set[int]) -> CachedBackend:
    from proxia_segmentation_ros.inference import backend_choice

    backend = CachedBackend(cached)
    monkeypatch.setattr(backend_choice, "explain_gpu_absence", lambda: None)
    monkeypatch.setattr(backend_choice, "make_tensorrt_backend", lambda *_: backend)
    return backend


def test_missing_engine_is_ordered_and_another_backend_serves_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend_gpu(monkeypatch, {1})
    settings = NodeSettings.from_flat(
        {
            "camera_names": ["left", "right"],
            "cameras.left.image_topic": "/left",
            "cameras.right.image_topic": "/right",
            "inference.precision": "f16",
            "inference.size": "128x96",
        }
    )
    plan = find_missing_engines(settings)
    assert plan is not None
    assert (plan.interim_settings.inference.backend, plan.interim_settings.inference.precision) == (
        "openvino",
        "auto",
    )
    assert (plan.final_settings.inference.backend, plan.final_settings.inference.precision) == (
        "tensorrt",
        "f16",
    )
    assert plan.interim_settings.camera_names == settings.camera_names
    built = json.loads(plan.command[-1])
    assert (built["backend"], built["precision"], built["size"]) == ("tensorrt", "f16", "128x96")
    assert built["batch"] == 2
    assert plan.command[:2] == (sys.executable, "-m")


def test_engines_in_the_cache_serve_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = pretend_gpu(monkeypatch, {1})
    assert find_missing_engines(NodeSettings.from_flat({})) is None
    assert backend.asked == [((288, 384), 1)]


def test_no_engine_is_ordered_for_a_latency_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpu(monkeypatch, set())
    flat = {"model.weights": "attention", "inference.latency_budget_ms": 80.0}
    assert find_missing_engines(NodeSettings.from_flat(flat)) is None
    assert find_missing_engines(NodeSettings.from_flat({"model.weights": "attention"})) is not None
