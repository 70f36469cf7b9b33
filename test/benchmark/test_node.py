"""Benchmarks over DDS, on a fake node that misses frames and on real ones with a tiny input."""

import os
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from proxia_segmentation_ros.benchmark.local import RoundSettings
from proxia_segmentation_ros.benchmark.node import (
    NodeBench,
    NodeBenchmarkSettings,
    run_node_benchmark,
)
from proxia_segmentation_ros.benchmark.trace import BASIC, OURS
from proxia_segmentation_ros.benchmark.workers.variant_worker import BenchmarkImages
from proxia_segmentation_ros.errors import ConfigError, ProxiaError, WeightsError

IMAGES = BenchmarkImages(size_hw=(48, 64), count=2)
PARAMETERS = {"model.weights": "synthetic", "inference.size": "64x48"}
RATE, SENT, MISSED = (
    f"{BASIC}MEAN_FRAME_RATE",
    f"{BASIC}NUM_FRAMES_SENT",
    f"{BASIC}NUM_MISSED_FRAMES",
)


def run_fake(progress, **more):
    rounds = RoundSettings(rates_hz=(20.0,), rounds=2, seconds=0.5, images=IMAGES)
    settings = NodeBenchmarkSettings(
        parameters=PARAMETERS, rounds=rounds, node_module="fake_node", **more
    )
    return run_node_benchmark(settings, progress)


@pytest.mark.slow
def test_frames_that_the_node_does_not_label_are_missed(fake_node, progress):
    fake_node("lossy")
    figures = run_fake(progress, saturating_hz=20.0)["20.0fps"]
    assert (figures[SENT], figures[MISSED]) == (20, 10)


@pytest.mark.slow
def test_silent_node_is_an_error(fake_node, progress):
    fake_node("silent")
    with pytest.raises(ProxiaError, match="no labels came back for 10 frames"):
        run_fake(progress, saturating_hz=20.0)


@pytest.mark.slow
def test_node_that_does_not_start_is_an_error(fake_node, progress):
    fake_node("broken")
    with pytest.raises(ProxiaError, match="weights 'none' are not shipped"):
        run_fake(progress, saturating_hz=20.0)


class StubListener:
    """Hears the labels of frame 10."""

    def __init__(self, log):
        self.log = log

    def clear(self):
        self.log.append("clear")

    def wait_for_frame(self, name, stamp_ns, timeout_s):
        assert stamp_ns == 10

    def arrivals(self, name):
        return {10: 1.1}

    def stages_ms(self, node_name):
        return {}

    def gauges(self, node_name):
        return {}


class StubCamera:
    def __init__(self, log):
        self.log = log

    def begin(self, topic, run):
        self.log.append((topic, run.rate_hz))
        future: Any = Future()
        future.set_result({10: 1.0})
        return future

    def send(self, topic, run):
        return self.begin(topic, run).result()


class StubWorker:
    def __init__(self, log):
        self.log = log

    def run(self, run):
        self.log.append(("bare", run.rate_hz))


class StubProcess:
    pid = os.getpid()

    def check_alive(self):
        pass


def test_camera_publishes_the_same_run_for_both_variants():
    log: list[Any] = []
    bench: Any = NodeBench.__new__(NodeBench)
    bench._settings = NodeBenchmarkSettings()
    bench.saturating_hz = 77.0
    bench._camera, bench._listener = StubCamera(log), StubListener(log)
    bench.bare = StubWorker(log)
    bench._node = bench._baseline = StubProcess()
    for rate_hz in (0.0, 5.0):
        bench.run_node(rate_hz)
        bench.run_bare(rate_hz)
    assert log == [
        "clear",
        ("node", 77.0),
        ("baseline", 77.0),
        ("bare", 0.0),
        "clear",
        ("node", 5.0),
        ("baseline", 5.0),
        ("bare", 5.0),
    ]


class StubProfiler:
    """Is over once two runs of the process were run."""

    def __init__(self, log):
        self.log, self.recorded = log, []

    @contextmanager
    def recording(self, pid, seconds, path):
        self.recorded.append((pid, path.name))
        until = len(self.log) + 2
        yield lambda: len(self.log) >= until


def test_profiles_of_node_and_bare_model_are_recorded_at_peak(tmp_path):
    bench: Any = NodeBench.__new__(NodeBench)
    log: list[Any] = []
    bench._node, bench.bare = SimpleNamespace(pid=7), SimpleNamespace(pid=8)
    bench.run_node = lambda rate_hz: log.append(("node", rate_hz))
    bench.run_bare = lambda rate_hz: log.append(("bare", rate_hz))
    profiler = StubProfiler(log)
    bench.record_profiles(profiler, tmp_path / "flame.svg")
    assert profiler.recorded == [(7, "flame.svg"), (8, "flame-bare.svg")]
    assert log == [("node", 0.0), ("node", 0.0), ("bare", 0.0), ("bare", 0.0)]


def test_flame_without_py_spy_is_refused_before_anything_starts(monkeypatch, tmp_path, progress):
    monkeypatch.setattr("subprocess.Popen", None)
    monkeypatch.setattr("shutil.which", lambda _name: None)
    settings = NodeBenchmarkSettings(parameters=PARAMETERS, flame=tmp_path / "flame.svg")
    with pytest.raises(ConfigError, match="'py-spy' is not installed"):
        run_node_benchmark(settings, progress)


@pytest.mark.slow
def test_real_node_and_bare_model_are_measured_in_interleaved_rounds(ros_domain, progress):
    rounds = RoundSettings(rates_hz=(0.0, 10.0), rounds=1, seconds=1.0, images=IMAGES)
    report = run_node_benchmark(
        NodeBenchmarkSettings(parameters=PARAMETERS, rounds=rounds), progress
    )
    custom = report["custom"]
    assert report["10.0fps"][SENT] == custom["against"]["10.0fps"][SENT] == 10
    assert report["10.0fps"][f"{OURS}P50_LATENCY"] > 0
    assert report[f"{OURS}MEAN_PROCESS_CPU_UTILIZATION"] > 0
    assert report[RATE] > 0
    assert set(custom["ratios"]) == {"peak", "10.0fps"}
    assert custom["subject"]["weights"] == custom["against"]["subject"]["weights"] == "synthetic"
    assert isinstance(custom["is_saturated"], bool)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"model.weights": "/no/such.safetensors"}, WeightsError),
        ({"inference.backend": "abacus"}, ConfigError),
    ],
)
def test_mistakes_are_errors_before_anything_starts(parameters, error, monkeypatch, progress):
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(error):
        run_node_benchmark(NodeBenchmarkSettings(parameters=parameters), progress)
