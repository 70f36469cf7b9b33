import os
import subprocess

import pytest

from proxia_segmentation_ros.benchmark.variant import Variant
from proxia_segmentation_ros.benchmark.workers.json_process import JsonProcess
from proxia_segmentation_ros.benchmark.workers.variant_worker import BenchmarkImages, VariantWorker
from proxia_segmentation_ros.errors import InputError, WeightsError

IMAGES = BenchmarkImages(size_hw=(48, 64), count=2)
VARIANT = Variant(name="synthetic", kind="model", weights="synthetic")


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
    def interrupt(_self: JsonProcess, _content: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(JsonProcess, "request", interrupt)
    with pytest.raises(KeyboardInterrupt):
        VariantWorker(VARIANT, IMAGES, os.environ)
    (process,) = started
    assert process.poll() is not None
    assert process.stdin is not None
    assert process.stdin.closed


def test_process_that_can_not_load_its_network_is_an_error(
    started: list[subprocess.Popen[str]],
) -> None:
    broken = Variant(name="broken variant", kind="model", weights="none")
    with pytest.raises(WeightsError, match="weights 'none' are not shipped"):
        VariantWorker(broken, IMAGES, os.environ)
    (process,) = started
    assert process.stdout is not None
    assert process.stdout.closed


def test_missing_images_are_an_error() -> None:
    nowhere = BenchmarkImages(source="/nowhere", size_hw=(48, 64), count=2)
    with pytest.raises(InputError, match="/nowhere"):
        VariantWorker(VARIANT, nowhere, os.environ)
