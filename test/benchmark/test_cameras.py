"""Two cameras over DDS, on real nodes with a tiny input."""

from types import SimpleNamespace
from typing import Any

import pytest

from proxia_segmentation_ros.benchmark.cameras import (
    CamerasBench,
    CamerasBenchmarkSettings,
    run_cameras_benchmark,
)
from proxia_segmentation_ros.benchmark.local import RoundSettings
from proxia_segmentation_ros.benchmark.run import Run
from proxia_segmentation_ros.benchmark.trace import BASIC, OURS
from proxia_segmentation_ros.benchmark.workers.variant_worker import BenchmarkImages
from proxia_segmentation_ros.errors import ConfigError, ProxiaError, WeightsError

IMAGES = BenchmarkImages(size_hw=(48, 64), count=2)
PARAMETERS = {"model.weights": "synthetic", "inference.size": "64x48"}
RATE, SENT = f"{BASIC}MEAN_FRAME_RATE", f"{BASIC}NUM_FRAMES_SENT"


@pytest.mark.slow
def test_real_cameras_share_a_node_and_one_is_killed(ros_domain, progress):
    # Two of the node's reports, one a second, fall into each run.
    rounds = RoundSettings(rates_hz=(0.0, 5.0), rounds=1, seconds=2.0, images=IMAGES)
    settings = CamerasBenchmarkSettings(parameters=PARAMETERS, rounds=rounds, kill_rate_hz=5.0)
    report = run_cameras_benchmark(settings, progress)
    custom = report["custom"]
    # Both cameras' frames, over either way.
    assert report["5.0fps"][SENT] == custom["against"]["5.0fps"][SENT] == 20
    assert report["5.0fps"][RATE] > 0
    memory_mib = [
        figures["5.0fps"][f"{OURS}MAX_PROCESS_MEMORY"] for figures in (report, custom["against"])
    ]
    assert min(memory_mib) > 20
    for variant in (custom["subject"], custom["against"]["subject"]):
        assert (variant["backend"], variant["weights"]) == ("openvino", "synthetic")
        assert variant["precision"]
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


def test_camera_that_would_be_killed_after_its_end_is_an_error():
    bench: Any = CamerasBench.__new__(CamerasBench)
    bench._listener = SimpleNamespace(wait_for_count=lambda _name, _count, _timeout_s: False)
    with pytest.raises(ProxiaError, match=r"60 Hz got fewer than 90 labels in 3 s.*lower --kill"):
        bench._wait_for_half(Run(rate_hz=60.0, seconds=3.0))


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
        run_cameras_benchmark(CamerasBenchmarkSettings(parameters=parameters), progress)
