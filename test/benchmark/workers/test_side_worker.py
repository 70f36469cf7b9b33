import os
import subprocess

import pytest

from proxia_segmentation_ros.benchmark.local import RoundSettings, run_local_benchmark
from proxia_segmentation_ros.benchmark.side import Side, parse_side
from proxia_segmentation_ros.benchmark.workers.json_process import AnsweringProcess
from proxia_segmentation_ros.benchmark.workers.side_worker import BenchmarkImages, BenchmarkWorker
from proxia_segmentation_ros.errors import InputError, WeightsError

IMAGES = BenchmarkImages(size_hw=(48, 64), count=2)
SIDE = Side(name="synthetic", kind="model", weights="synthetic")


class Silent:
    def begin(self, text: str, total: int | None = None) -> None:
        pass

    def advance(self) -> None:
        pass


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """Return the processes that are started from now on."""
    processes: list[subprocess.Popen[str]] = []

    class Noted(subprocess.Popen[str]):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            processes.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return processes


def test_process_is_gone_when_nobody_waits_for_its_network(
    started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_self: AnsweringProcess, _question: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(AnsweringProcess, "ask", interrupt)
    with pytest.raises(KeyboardInterrupt):
        BenchmarkWorker(SIDE, IMAGES, os.environ)
    (process,) = started
    assert process.poll() is not None
    assert process.stdin is not None
    assert process.stdin.closed


def test_process_that_can_not_load_its_network_is_told(
    started: list[subprocess.Popen[str]],
) -> None:
    broken = Side(name="broken side", kind="model", weights="none")
    with pytest.raises(WeightsError, match="weights 'none' are not shipped"):
        BenchmarkWorker(broken, IMAGES, os.environ)
    (process,) = started
    assert process.stdout is not None
    assert process.stdout.closed


def test_two_sides_are_measured_in_one_report() -> None:
    sides = [
        parse_side(text, kind="model", defaults={"weights": "synthetic"})
        for text in ("size=64x48,precision=f32", "eager,size=64x48,threads=1")
    ]
    settings = RoundSettings(rates_hz=(0.0, 20.0), rounds=2, seconds=0.1, images=IMAGES)
    report = run_local_benchmark("model", *sides, settings, Silent())
    custom = report["custom"]
    assert custom["subject"]["backend"] == "openvino"
    assert custom["against"]["subject"]["backend"] == "torch-eager"
    assert custom["against"]["subject"]["threads"] == 1
    rates = custom["ratios"]["peak"]["BasicPerformanceMetrics.MEAN_FRAME_RATE"]["rounds"]
    assert len(rates) == 2
    for one in (report, custom["against"]):
        assert one["20.0fps"]["BasicPerformanceMetrics.NUM_FRAMES_SENT"] == 4
        assert one["ProxiaMetrics.STAGE_INFER"] > 0
        assert one["ProxiaMetrics.MAX_PROCESS_MEMORY"] > 20


def test_missing_weights_are_told_before_anything_starts(
    started: list[subprocess.Popen[str]],
) -> None:
    side = Side(name="a", kind="model", weights="/no/such.safetensors")
    with pytest.raises(WeightsError):
        run_local_benchmark("model", side, None, RoundSettings(), Silent())
    assert started == []


def test_images_that_are_missing_are_told_in_a_sentence() -> None:
    nowhere = BenchmarkImages(source="/nowhere", size_hw=(48, 64), count=2)
    with pytest.raises(InputError, match="/nowhere"):
        BenchmarkWorker(SIDE, nowhere, os.environ)
