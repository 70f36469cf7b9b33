"""Benchmarks over DDS, on a fake node that misses frames and on real ones with a tiny input."""

import os
import sys
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from proxia_segmentation_ros.benchmark.cameras import (
    CamerasBench,
    CamerasBenchmarkSettings,
    run_cameras_benchmark,
)
from proxia_segmentation_ros.benchmark.local import RoundSettings
from proxia_segmentation_ros.benchmark.node import (
    NodeBench,
    NodeBenchmarkSettings,
    run_node_benchmark,
)
from proxia_segmentation_ros.benchmark.node_processes import (
    collect_trace,
    describe_serving,
    make_bare_side,
    name_labels_topic,
)
from proxia_segmentation_ros.benchmark.run import Stretch
from proxia_segmentation_ros.benchmark.soak import SoakSettings, soak_node
from proxia_segmentation_ros.benchmark.trace import BASIC, OURS
from proxia_segmentation_ros.benchmark.workers.camera import BenchmarkCamera
from proxia_segmentation_ros.benchmark.workers.side_worker import BenchmarkImages
from proxia_segmentation_ros.errors import ConfigError, InputError, ProxiaError, WeightsError

IMAGES = BenchmarkImages(size_hw=(48, 64), count=2)
PARAMETERS = {"model.weights": "synthetic", "inference.size": "64x48"}
RATE, SENT, MISSED = (
    f"{BASIC}MEAN_FRAME_RATE",
    f"{BASIC}NUM_FRAMES_SENT",
    f"{BASIC}NUM_MISSED_FRAMES",
)


class Silent:
    def begin(self, text, total=None):
        pass

    def advance(self):
        pass


@pytest.fixture
def fake_node(ros_domain, monkeypatch):
    """Return a function that chooses what goes wrong in the fake node."""
    here = str(Path(__file__).parents[1] / "support")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, *sys.path]))
    monkeypatch.setattr(
        "proxia_segmentation_ros.benchmark.node_processes.LAST_LABELS_TIMEOUT_S", 1.0
    )
    return lambda mode: monkeypatch.setenv("FAKE_NODE", mode)


def run_fake(**more):
    rounds = RoundSettings(rates_hz=(20.0,), rounds=2, seconds=0.5, images=IMAGES)
    settings = NodeBenchmarkSettings(
        parameters=PARAMETERS, rounds=rounds, node_module="fake_node", **more
    )
    return run_node_benchmark(settings, Silent())


def test_frames_that_the_node_does_not_label_are_missed(fake_node):
    fake_node("lossy")
    figures = run_fake(saturating_hz=20.0)["20.0fps"]
    assert (figures[SENT], figures[MISSED]) == (20, 10)


def test_silent_node_is_told(fake_node):
    fake_node("silent")
    with pytest.raises(ProxiaError, match="no labels came back for 10 frames"):
        run_fake(saturating_hz=20.0)


def test_node_that_does_not_start_is_told(fake_node):
    fake_node("broken")
    with pytest.raises(ProxiaError, match="weights 'none' are not shipped"):
        run_fake(saturating_hz=20.0)


class StubListener:
    """Heard these labels, and once more of a frame of the last stretch."""

    def __init__(self, arrived_s):
        self.arrived_s, self.waited, self.log = arrived_s, [], []

    def clear(self):
        self.log.append("clear")

    def wait_for_frame(self, name, stamp_ns, timeout_s):
        self.waited.append(stamp_ns)

    def arrivals(self, name):
        return self.arrived_s

    def stages_ms(self, node_name):
        return {"infer": [5.0]}

    def gauges(self, node_name):
        return {"scales": [2.0]}


def test_late_labels_of_the_stretch_before_do_not_count():
    listener = StubListener({5: 0.1, 10: 1.1, 30: 3.1})
    trace = collect_trace(listener, "camera", "node", {10: 1.0, 20: 2.0, 30: 3.0})
    assert listener.waited == [30]
    assert (list(trace.received_s), trace.missed) == ([10, 30], 1)
    assert (trace.stages_ms, trace.gauges) == ({"infer": [5.0]}, {"scales": [2.0]})


class StubCamera:
    def __init__(self, log):
        self.log = log

    def begin(self, topic, stretch):
        self.log.append((topic, stretch.rate_hz))
        future = Future()
        future.set_result({10: 1.0})
        return future

    def send(self, topic, stretch):
        return self.begin(topic, stretch).result()


class StubWorker:
    def __init__(self, log):
        self.log = log

    def run(self, stretch):
        self.log.append(("bare", stretch.rate_hz))


class StubProcess:
    pid = os.getpid()

    def check_alive(self):
        pass


def test_camera_publishes_alike_in_both_turns():
    listener = StubListener({10: 1.1})
    log = listener.log
    bench = NodeBench.__new__(NodeBench)
    bench._settings = NodeBenchmarkSettings()
    bench.saturating_hz = 77.0
    bench._camera, bench._listener, bench.bare = StubCamera(log), listener, StubWorker(log)
    bench._node = bench._null = StubProcess()
    for rate_hz in (0.0, 5.0):
        bench.run_node(rate_hz)
        bench.run_bare(rate_hz)
    assert log == [
        "clear",
        ("node", 77.0),
        ("null", 77.0),
        ("bare", 0.0),
        "clear",
        ("node", 5.0),
        ("null", 5.0),
        ("bare", 5.0),
    ]


class StubRecorder:
    """Is over once two stretches of the process were run."""

    def __init__(self, log):
        self.log, self.recorded = log, []

    @contextmanager
    def recording(self, pid, seconds, path):
        self.recorded.append((pid, path.name))
        until = len(self.log) + 2
        yield lambda: len(self.log) >= until


def test_flames_of_node_and_bare_model_are_recorded_at_peak(tmp_path):
    bench, log = NodeBench.__new__(NodeBench), []
    bench._node, bench.bare = SimpleNamespace(pid=7), SimpleNamespace(pid=8)
    bench.run_node = lambda rate_hz: log.append(("node", rate_hz))
    bench.run_bare = lambda rate_hz: log.append(("bare", rate_hz))
    recorder = StubRecorder(log)
    bench.record_flames(recorder, tmp_path / "flame.svg")
    assert recorder.recorded == [(7, "flame.svg"), (8, "flame-bare.svg")]
    assert log == [("node", 0.0), ("node", 0.0), ("bare", 0.0), ("bare", 0.0)]


def test_flame_without_its_program_is_refused_before_anything_starts(monkeypatch, tmp_path):
    monkeypatch.setattr("subprocess.Popen", None)
    monkeypatch.setattr("shutil.which", lambda _name: None)
    settings = NodeBenchmarkSettings(parameters=PARAMETERS, flame=tmp_path / "flame.svg")
    with pytest.raises(ConfigError, match="'py-spy' is not installed"):
        run_node_benchmark(settings, Silent())


def test_real_node_and_bare_model_are_measured_in_turns(ros_domain):
    rounds = RoundSettings(rates_hz=(0.0, 10.0), rounds=1, seconds=1.0, images=IMAGES)
    report = run_node_benchmark(
        NodeBenchmarkSettings(parameters=PARAMETERS, rounds=rounds), Silent()
    )
    custom = report["custom"]
    assert report["10.0fps"][SENT] == custom["against"]["10.0fps"][SENT] == 10
    assert report["10.0fps"][f"{OURS}P50_LATENCY"] > 0
    assert report[f"{OURS}MEAN_PROCESS_CPU_UTILIZATION"] > 0
    assert report[RATE] > 0
    assert set(custom["ratios"]) == {"peak", "10.0fps"}
    assert custom["subject"]["weights"] == custom["against"]["subject"]["weights"] == "synthetic"
    assert isinstance(custom["is_saturated"], bool)


def test_real_cameras_share_a_node_and_one_is_killed(ros_domain):
    # Two of the node's reports, one a second, fall into each stretch.
    rounds = RoundSettings(rates_hz=(0.0, 5.0), rounds=1, seconds=2.0, images=IMAGES)
    settings = CamerasBenchmarkSettings(parameters=PARAMETERS, rounds=rounds, kill_rate_hz=5.0)
    report = run_cameras_benchmark(settings, Silent())
    custom = report["custom"]
    # Both cameras' frames, over either way.
    assert report["5.0fps"][SENT] == custom["against"]["5.0fps"][SENT] == 20
    assert report["5.0fps"][RATE] > 0
    memory_mib = [one["5.0fps"][f"{OURS}MAX_PROCESS_MEMORY"] for one in (report, custom["against"])]
    assert min(memory_mib) > 20
    for side in (custom["subject"], custom["against"]["subject"]):
        assert (side["backend"], side["weights"]) == ("openvino", "synthetic")
        assert side["precision"]
    assert isinstance(custom["is_saturated"], bool)
    assert report["5.0fps"][f"{OURS}MEAN_SCALES"] == 1
    # One camera sends its frames alone, at peak as many as both did.
    alone = custom["alone"]
    assert alone["subject"]["name"] == "one camera alone"
    assert alone["5.0fps"][SENT] == 10
    assert abs(alone[SENT] - report[SENT]) <= 2
    assert alone["ratios"]["5.0fps"][RATE]["median"] > 1.5
    killed = custom["killed_camera"]
    assert killed["undisturbed"]["sent"] == killed["other_killed"]["sent"] == 10
    # Half of its labels came in before it was killed.
    assert 5 <= killed["other_killed"]["labels_of_other"] < 10


def test_node_is_soaked(ros_domain):
    settings = SoakSettings(frames=6, warm_up=3, every=3, rate_hz=5.0, images=IMAGES)
    report = soak_node(PARAMETERS, settings, Silent())
    curve = report["custom"]["memory"]["curve"]
    assert curve[0][0] == 0
    assert curve[-1][0] >= 6
    assert curve[0][1] > 20


def test_bare_model_is_called_as_the_node_calls_it():
    side = make_bare_side(
        {
            **PARAMETERS,
            "inference.threads": 1,
            "output.size": "network",
            "output.min_confidence": 0.5,
            "objects.with_confidence": False,
        }
    )
    assert side.weights == "synthetic"
    assert side.loading["size"] == "64x48"
    assert side.loading["threads"] == 1
    assert "cache_dir" not in side.loading
    assert side.calling == {
        "with_confidence": False,
        "output_size": "network",
        "min_confidence": 0.5,
        "stream": "camera",
    }


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"model.weights": "/no/such.safetensors"}, WeightsError),
        ({"inference.backend": "abacus"}, ConfigError),
    ],
)
def test_mistakes_are_told_before_anything_starts(parameters, error, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(error):
        run_node_benchmark(NodeBenchmarkSettings(parameters=parameters), Silent())
    with pytest.raises(error):
        run_cameras_benchmark(CamerasBenchmarkSettings(parameters=parameters), Silent())


def test_labels_of_several_cameras_lie_below_their_names():
    assert name_labels_topic("eye", "left", 1) == "/eye/labels"
    assert name_labels_topic("eye", "left", 2) == "/eye/left/labels"


def test_nodes_that_run_on_different_things_are_told_apart():
    told = {"left": {"backend": "a", "precision": "f32"}, "right": {"backend": "a"}, "mute": {}}
    listener = SimpleNamespace(wait_for_serving=lambda name, _timeout_s: told[name])
    assert describe_serving(listener, ["left", "right"]) == {"backend": "a", "precision": "f32"}
    told["right"]["precision"] = "int8"
    assert describe_serving(listener, list(told))["precision"] == "f32, int8"
    assert describe_serving(listener, ["mute"]) == {}


def test_camera_tells_in_a_sentence_that_it_can_not_read_its_images(ros_domain):
    images = BenchmarkImages(source="/no/such/clip.mp4", size_hw=(48, 64))
    with (
        BenchmarkCamera("left", {}, images, os.environ) as camera,
        pytest.raises(InputError, match=r"/no/such/clip\.mp4"),
    ):
        camera.wait_until_ready()


def test_camera_that_would_be_killed_after_its_end_is_told():
    bench = CamerasBench.__new__(CamerasBench)
    bench._listener = SimpleNamespace(wait_for_count=lambda _name, _count, _timeout_s: False)
    with pytest.raises(ProxiaError, match=r"60 Hz got fewer than 90 labels in 3 s.*lower --kill"):
        bench._wait_for_half(Stretch(rate_hz=60.0, seconds=3.0))
