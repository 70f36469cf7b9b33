"""Loading the model of a node: what it falls back to where a GPU lacks memory or an engine."""

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fake_segmenter import FakeSegmenter

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.inference.engine_upgrade import UpgradeStatus
from proxia_segmentation_ros.inference.segmenter_factory import EngineBuildPlan
from proxia_segmentation_ros.pipeline.model_host import ModelHost

CAMERAS = {
    "camera_names": ["a", "b", "c", "d"],
    **{f"cameras.{name}.image_topic": f"/{name}" for name in "abcd"},
}


class ShortOfMemory(FakeSegmenter):
    """Takes `fits` images together, on a GPU."""

    fits = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.backend = "tensorrt"
        self.tried: list[int] = []

    def warm_up(self, size_hw: tuple[int, int], batch: int = 1) -> None:
        super().warm_up(size_hw, batch)
        self.tried.append(batch)
        if batch > self.fits:
            raise BackendError("the GPU has no memory")


class Garage:
    """Makes segmenters and hosts; `asked` are the backends of the settings."""

    def __init__(self) -> None:
        self.fits = 4
        self.asked: list[str] = []
        self.made: list[FakeSegmenter] = []
        self.hosts: list[ModelHost] = []

    def make(self, settings: NodeSettings) -> FakeSegmenter:
        backend = settings.inference.backend
        self.asked.append(backend)
        is_gpu = backend in ("auto", "tensorrt")
        self.made.append(ShortOfMemory() if is_gpu else FakeSegmenter(backend=backend))
        self.made[-1].fits = self.fits  # type: ignore[attr-defined]
        return self.made[-1]

    def open(self, backend: str, find: Any = lambda settings: None, make: Any = None) -> ModelHost:
        settings = NodeSettings.from_flat(CAMERAS | {"inference.backend": backend})
        host = ModelHost(make or self.make, settings, lambda: None, find)
        self.hosts.append(host)
        return host


@pytest.fixture
def garage() -> Iterator[Garage]:
    made = Garage()
    yield made
    for host in made.hosts:
        assert host.close()


@pytest.mark.parametrize("backend", ["auto", "tensorrt"])
def test_memory_that_lacks_for_many_frames_serves_fewer_at_once(
    garage: Garage, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    garage.fits = 2
    host = garage.open(backend)
    assert host.segmenter.backend == "tensorrt"
    assert host.segmenter.largest_batch == 2
    assert "can't warm up for 4 images together: the GPU has no memory. Trying 2" in caplog.text


def test_memory_that_lacks_for_one_frame_leaves_the_gpu_unused(
    garage: Garage, caplog: pytest.LogCaptureFixture
) -> None:
    garage.fits = 0
    host = garage.open("auto")
    assert garage.asked == ["auto", "openvino"]
    assert (garage.made[0].is_closed, garage.made[1].is_closed) == (True, False)
    assert garage.made[0].tried == [4, 2, 1]  # type: ignore[attr-defined]
    assert host.segmenter.backend == "openvino"
    assert "the GPU stays unused: the GPU has no memory" in caplog.text


def test_tensorrt_that_was_asked_for_is_not_replaced(garage: Garage) -> None:
    garage.fits = 0
    with pytest.raises(BackendError, match="the GPU has no memory"):
        garage.open("tensorrt")
    assert garage.made[0].is_closed


def make_plan(settings: NodeSettings) -> EngineBuildPlan:
    def change(backend: str) -> NodeSettings:
        inference = settings.inference.model_copy(update={"backend": backend})
        return settings.model_copy(update={"inference": inference})

    command = (sys.executable, "-c", """print('{"done": {}}')""")
    return EngineBuildPlan(change("openvino"), command, change("tensorrt"))


def test_engine_that_the_gpu_refuses_is_ordered_anew(garage: Garage) -> None:
    is_cached = True

    def find(settings: NodeSettings) -> EngineBuildPlan | None:
        return None if is_cached else make_plan(settings)

    def make(settings: NodeSettings) -> FakeSegmenter:
        nonlocal is_cached
        if settings.inference.backend == "tensorrt":
            is_cached = False
            raise BackendError("the cache holds no engine that the GPU takes")
        return garage.make(settings)

    host = garage.open("tensorrt", find, make)
    assert host.segmenter.backend == "openvino"


def upgrade(host: ModelHost) -> UpgradeStatus:
    told: list[UpgradeStatus] = []
    has_ended = threading.Event()

    def note(status: UpgradeStatus) -> None:
        told.append(status)
        if status.state in ("ready", "failed", "stopped"):
            has_ended.set()

    host.start_upgrade(note)
    assert has_ended.wait(30)
    return told[-1]


def test_new_engine_serves_as_many_frames_at_once_as_memory_lets(garage: Garage) -> None:
    garage.fits = 2
    host = garage.open("tensorrt", make_plan)
    assert upgrade(host).state == "ready"
    assert (host.segmenter.backend, host.segmenter.largest_batch) == ("tensorrt", 2)


def test_new_engine_is_warm_for_each_number_of_frames(garage: Garage) -> None:
    host = garage.open("tensorrt", make_plan)
    assert upgrade(host).state == "ready"
    assert garage.made[1].batches == [1, 2, 3, 4]


def test_new_engine_that_memory_lacks_for_is_freed_and_the_old_one_serves(garage: Garage) -> None:
    garage.fits = 0
    host = garage.open("tensorrt", make_plan)
    status = upgrade(host)
    assert (status.state, status.step) == ("failed", "the GPU has no memory")
    assert garage.made[1].is_closed
    assert not garage.made[0].is_closed
    assert host.segmenter.backend == "openvino"
