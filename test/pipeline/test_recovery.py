"""A model that fails or hangs is replaced, one step after the other, and tried again later."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from fake_segmenter import FakeSegmenter

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.errors import BackendError, InputError
from proxia_segmentation_ros.inference.swappable_segmenter import SwappableSegmenter
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.pipeline.recovery import (
    ModelRecovery,
    RecoveryTimes,
    list_rungs,
)
from proxia_segmentation_ros.pipeline.workers import FrameWorkers

TIMEOUT_S = 10.0
IMAGE = np.zeros((8, 8, 3), np.uint8)


def name_of(settings: NodeSettings) -> str:
    return f"{settings.inference.backend} {settings.inference.precision}"


class Garage:
    """Loads models; those whose backend and precision are in `broken` fail, or hang in loading."""

    def __init__(self) -> None:
        self.settings = NodeSettings()
        self.loaded: list[str] = []
        self.made: list[FakeSegmenter] = []
        self.broken: set[str] = set()
        self.hanging: set[str] = set()
        self.reasons: list[str] = []
        self.statuses: list[str] = []
        self.workers = FrameWorkers()
        self.first = FakeSegmenter(backend="openvino", precision="bf16")
        self.swappable = SwappableSegmenter(
            self.first, keep_frames=False, on_result=self.note_result
        )
        self.recovery: ModelRecovery
        self.has_ended = threading.Event()

    def start(self, **times: float) -> None:
        self.recovery = ModelRecovery(
            self.swappable,
            self.workers,
            self.settings,
            self.load,
            on_change=lambda: self.statuses.append(self.recovery.status.state),
            give_up=self.note_end,
            times=RecoveryTimes(**times),
        )

    def note_result(self, error: BaseException | None) -> None:
        self.recovery.note_result(error)

    def load(self, settings: NodeSettings) -> FakeSegmenter:
        name = name_of(settings)
        self.loaded.append(name)
        if name in self.broken:
            raise BackendError(f"{name} does not load")
        if name in self.hanging:
            threading.Event().wait(TIMEOUT_S)
        self.made.append(FakeSegmenter(backend=name))
        return self.made[-1]

    def note_end(self, sentence: str) -> None:
        self.reasons.append(sentence)
        self.has_ended.set()

    def segment(self) -> Any:
        return self.swappable.segment_many([IMAGE], [False])

    def wait_for(self, condition: Callable[[], bool]) -> None:
        give_up_s = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < give_up_s, (self.recovery.status, self.loaded)
            time.sleep(0.01)

    def wait_for_state(self, state: str) -> None:
        self.wait_for(lambda: self.recovery.status.state == state)


@pytest.fixture
def garage() -> Iterator[Garage]:
    made = Garage()
    yield made
    made.recovery.close(TIMEOUT_S)
    assert made.workers.close(TIMEOUT_S)


def break_model(segmenter: FakeSegmenter, error: Exception | None = None) -> None:
    def fail(*_arguments: Any, **_options: Any) -> Any:
        raise error or RuntimeError("the device is lost")

    segmenter.segment_many = fail  # type: ignore[method-assign]


def fail_three_times(garage: Garage) -> None:
    for _ in range(3):
        with pytest.raises(RuntimeError, match="the device is lost"):
            garage.segment()


def test_ladder_goes_from_the_wanted_model_to_plainer_ones() -> None:
    settings = NodeSettings()
    assert [rung.name for rung in list_rungs(settings, "openvino", "bf16")] == [
        "loaded again",
        "openvino f32",
        "torch f32",
    ]
    assert [rung.name for rung in list_rungs(settings, "openvino", "f32")] == [
        "loaded again",
        "torch f32",
    ]
    on_gpu = list_rungs(settings, "tensorrt", "f16")
    assert [rung.name for rung in on_gpu] == [
        "loaded again",
        "openvino on the CPU",
        "openvino f32",
        "torch f32",
    ]
    assert on_gpu[0].settings is settings
    assert name_of(on_gpu[1].settings) == "openvino auto"
    assert name_of(on_gpu[3].settings) == "torch f32"


def test_third_failure_in_a_row_loads_the_model_again(garage: Garage) -> None:
    garage.start()
    broken = garage.first
    break_model(broken)
    fail_three_times(garage)
    garage.wait_for_state("well")
    assert garage.loaded == ["auto auto"]
    assert garage.segment()
    garage.wait_for(lambda: broken.is_closed)
    assert garage.recovery.status.failures == 1
    assert garage.recovery.status.rung == "loaded again"


def test_failures_with_a_good_frame_between_replace_nothing(garage: Garage) -> None:
    garage.start()
    good = garage.first.segment_many
    for _ in range(4):
        for _ in range(2):
            break_model(garage.first)
            with pytest.raises(RuntimeError):
                garage.segment()
        garage.first.segment_many = good  # type: ignore[method-assign]
        garage.segment()
    assert garage.loaded == []
    assert garage.recovery.status.state == "well"


def test_bad_images_are_not_the_models_fault(garage: Garage) -> None:
    garage.start()
    break_model(garage.first, InputError("the image is too large"))
    for _ in range(5):
        with pytest.raises(InputError):
            garage.segment()
    assert garage.recovery.status.state == "well"


def test_frames_fail_at_once_while_the_model_is_replaced(garage: Garage) -> None:
    garage.hanging = {"auto auto"}
    garage.start(load_s=0.5)
    garage.recovery.note_hang("the model has hung for 1.6 s")
    with pytest.raises(
        BackendError, match=r"is being replaced, because the model has hung for 1.6"
    ):
        garage.segment()
    assert garage.recovery.status.state == "recovering"
    garage.wait_for_state("lower")
    assert garage.loaded == ["auto auto", "openvino f32"]
    assert garage.segment()
    assert not garage.first.is_closed, "closing a model that hangs would hang"


def test_steps_that_fail_lead_to_the_next_and_the_last_one_to_the_end(garage: Garage) -> None:
    garage.broken = {"auto auto", "openvino f32"}
    garage.start()
    break_model(garage.first)
    fail_three_times(garage)
    garage.wait_for_state("lower")
    assert garage.loaded == ["auto auto", "openvino f32", "torch f32"]
    assert "serving on torch f32, because the model failed 3 times in a row" in (
        garage.recovery.status.sentence
    )
    break_model(garage.made[-1])
    fail_three_times(garage)
    assert garage.has_ended.wait(TIMEOUT_S)
    assert "no other backend or precision is left" in garage.reasons[0]
    assert garage.recovery.status.state == "given up"


def test_third_hang_ends_the_process(garage: Garage) -> None:
    garage.start()
    for _ in range(2):
        garage.recovery.note_hang("the model has hung")
        garage.wait_for(lambda: garage.recovery.status.state in ("well", "lower"))
    garage.recovery.note_hang("the model has hung")
    assert garage.has_ended.wait(TIMEOUT_S)
    assert garage.reasons == ["the model has hung; it is hang number 3"]


def test_wanted_model_is_tried_again_and_taken_when_it_loads(garage: Garage) -> None:
    garage.broken = {"auto auto"}
    garage.start(climb_s=0.2, settle_s=0.1)
    break_model(garage.first)
    fail_three_times(garage)
    garage.wait_for_state("lower")
    lower = garage.made[-1]
    garage.wait_for(lambda: garage.loaded.count("auto auto") >= 2)
    assert garage.recovery.status.state == "lower"
    garage.broken = set()
    garage.wait_for_state("well")
    assert garage.swappable.backend == "auto auto"
    garage.wait_for(lambda: lower.is_closed)


def test_calm_time_after_a_reload_starts_the_ladder_anew(garage: Garage) -> None:
    garage.start(settle_s=0.1)
    break_model(garage.first)
    fail_three_times(garage)
    garage.wait_for_state("well")
    garage.wait_for(lambda: garage.recovery._next_rung == 0)
    break_model(garage.made[-1])
    fail_three_times(garage)
    garage.wait_for(lambda: garage.recovery.status.failures == 2)
    garage.wait_for_state("well")
    assert garage.loaded == ["auto auto", "auto auto"]


def test_model_with_other_classes_is_not_taken(garage: Garage) -> None:
    garage.start()
    load = garage.load

    def load_others(settings: NodeSettings) -> FakeSegmenter:
        model = load(settings)
        if name_of(settings) == "auto auto":
            model.label_set = load_label_set("cityscapes")
        return model

    garage.recovery._load = load_others
    garage.recovery.note_hang("the model has hung")
    garage.wait_for_state("lower")
    assert garage.swappable.label_set.name == "camvid"
