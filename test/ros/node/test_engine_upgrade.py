"""While an engine is built the node serves; then it changes between two frames, or says why not."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_segmenter import MARK, FakeSegmenter, MarkedSegmenter
from robot import make_image, make_scene, read_pixels
from sensor_msgs.msg import Image

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.inference.engine_upgrade import EngineUpgrade, UpgradeStatus
from proxia_segmentation_ros.inference.segmenter_factory import EngineBuildPlan

# Does what it is told through a FIFO, and waits for that as a compiler waits for the GPU.
BUILDER = """
import json, os, sys
def say(**line): print(json.dumps(line), flush=True)
open(sys.argv[1] + ".pid", "w").write(str(os.getpid()))
say(step="trying kernels")
exec(open(sys.argv[1]).read())
"""
DONE = "say(done={})"


class Builder:
    """The process that builds, in the test's hands."""

    def __init__(self, folder: Path) -> None:
        self._fifo = folder / "orders"
        os.mkfifo(self._fifo)
        self.command = (sys.executable, "-c", BUILDER, str(self._fifo))

    def tell(self, code: str) -> None:
        """Wait until the builder listens, and have it run this."""
        self._fifo.write_text(code)

    def is_running(self) -> bool:
        pid_file = self._fifo.with_name("orders.pid")
        if not pid_file.exists() or not pid_file.read_text():
            return False
        try:
            os.kill(int(pid_file.read_text()), 0)
        except ProcessLookupError:
            return False
        return True


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


def wait_for(condition: Callable[[], Any], what: str) -> None:
    changed = threading.Event()
    for _ in range(2000):
        if condition():
            return
        changed.wait(0.01)
    raise AssertionError(f"waited for {what}")


class Upgrading:
    """An upgrade without a node: `states` are what it told."""

    def __init__(self, command: tuple[str, ...], load: Any = None, take: Any = None) -> None:
        self.told: list[UpgradeStatus] = []
        self.taken: list[Any] = []
        self.better = MarkedSegmenter()
        self.upgrade = EngineUpgrade(
            command, load or (lambda: self.better), take or self.taken.append, self.told.append
        )

    def wait_for(self, state: str) -> UpgradeStatus:
        wait_for(lambda: self.upgrade.status.state == state, state)
        return self.upgrade.status


@pytest.fixture
def upgrading() -> Iterator[Callable[..., Upgrading]]:
    started: list[Upgrading] = []

    def start(*arguments: Any) -> Upgrading:
        started.append(Upgrading(*arguments))
        return started[-1]

    yield start
    for case in started:
        case.upgrade.close()


def test_progress_and_result_of_a_build(
    builder: Builder, upgrading: Callable[..., Upgrading]
) -> None:
    case = upgrading(builder.command)
    wait_for(lambda: case.upgrade.status.step == "trying kernels", "the first step")
    first_s = case.upgrade.status.elapsed_s
    wait_for(lambda: case.upgrade.status.elapsed_s > first_s, "time to pass")
    builder.tell("print('a library talks'); say(step='writing'); " + DONE)
    status = case.wait_for("ready")
    assert status.step == "serving with marked, f32"
    assert case.taken == [case.better]
    steps = [(told.state, told.step) for told in case.told]
    assert steps[:3] == [
        ("building", "trying kernels"),
        ("building", "writing"),
        ("loading", "loading the engine"),
    ]
    assert case.upgrade.status == status


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
        ("print('no kernel image'); sys.exit(3)", "without an engine, with exit code 3: no kernel"),
        ("say(error='no memory; expected some; buy more'); sys.exit(5)", "no memory; expected"),
        ("1/0", "ZeroDivisionError"),
        ("pass", "without an engine, with exit code 0"),
    ],
)
def test_build_that_fails_says_how_and_nothing_is_loaded(
    builder: Builder, upgrading: Callable[..., Upgrading], code: str, sentence: str
) -> None:
    case = upgrading(builder.command)
    builder.tell(code)
    assert sentence in case.wait_for("failed").step
    assert case.taken == []


def test_engine_that_was_built_is_loaded_however_its_process_ends(
    builder: Builder, upgrading: Callable[..., Upgrading]
) -> None:
    case = upgrading(builder.command)
    builder.tell(DONE + "; print('the driver is gone'); sys.stdout.flush(); os.abort()")
    case.wait_for("ready")
    assert case.taken == [case.better]
    sentence = "the engine is built; its process then ended with signal 6: the driver is gone"
    assert sentence in [told.step for told in case.told]


def test_command_that_does_not_exist_is_a_failure(upgrading: Callable[..., Upgrading]) -> None:
    case = upgrading(("/no/such/program",))
    assert "/no/such/program" in case.wait_for("failed").step


def test_engine_that_can_not_be_loaded_is_a_failure(
    builder: Builder, upgrading: Callable[..., Upgrading]
) -> None:
    def load() -> FakeSegmenter:
        raise BackendError("the GPU fell off the bus")

    case = upgrading(builder.command, load)
    builder.tell(DONE)
    assert case.wait_for("failed").step == "the GPU fell off the bus"


def test_closing_kills_the_build(builder: Builder, upgrading: Callable[..., Upgrading]) -> None:
    case = upgrading(builder.command)
    wait_for(builder.is_running, "the builder")
    assert case.upgrade.close()
    assert not builder.is_running()
    assert case.upgrade.status.state == "stopped"


def test_closing_while_it_loads_frees_what_was_loaded(
    builder: Builder, upgrading: Callable[..., Upgrading]
) -> None:
    entered, gate, better = threading.Event(), threading.Event(), MarkedSegmenter()

    def load() -> FakeSegmenter:
        entered.set()
        gate.wait(30)
        return better

    case = upgrading(builder.command, load)
    builder.tell(DONE)
    assert entered.wait(30)
    assert not case.upgrade.close()
    gate.set()
    case.wait_for("stopped")
    assert better.is_closed
    assert case.taken == []


class Upgradable:
    """Factory and finder of a node whose engine is missing; `made` are its segmenters."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self.made: list[FakeSegmenter] = []

    def find(self, settings: NodeSettings) -> EngineBuildPlan:
        def change(backend: str) -> NodeSettings:
            inference = settings.inference.model_copy(update={"backend": backend})
            return settings.model_copy(update={"inference": inference})

        return EngineBuildPlan(change("openvino"), self._builder.command, change("tensorrt"))

    def make(self, settings: NodeSettings) -> FakeSegmenter:
        is_better = settings.inference.backend == "tensorrt"
        self.made.append(MarkedSegmenter() if is_better else FakeSegmenter())
        return self.made[-1]


def test_node_serves_while_it_builds_and_swaps_between_two_frames(
    robot: Any, start_node: Any, builder: Builder
) -> None:
    parts = Upgradable(builder)
    under_test = start_node(factory=parts.make, finder=parts.find)
    robot.listen("/proxia/labels", Image)
    labels = robot.show(make_image(make_scene(), sec=1))
    assert read_pixels(labels)[0, 0] != MARK
    robot.wait_for(lambda: _read(robot, "engine_step") == "trying kernels", "the build's step")
    robot.wait_for_diagnostic("model", "active; building an engine")
    assert _read(robot, "engine_state") == "building"
    assert float(_read(robot, "engine_elapsed_s") or "nan") >= 0
    received = under_test.count("received")
    (first,) = parts.made
    first.entered.clear()
    first.gate.clear()
    robot.publish("/image", make_image(make_scene(), sec=2))
    robot.wait_for(first.entered.is_set, "a frame in the old model")
    builder.tell(DONE)
    workers = under_test.node._host.workers
    robot.wait_for(lambda: workers._tasks, "the new model to wait its turn")
    robot.publish("/image", make_image(make_scene(), sec=3))
    robot.wait_for(lambda: under_test.count("received") == received + 2, "the next frame")
    first.gate.set()
    marks = {sec: read_pixels(robot.wait_for_stamp("/proxia/labels", sec)) for sec in (2, 3)}
    assert [(labels[0, 0] == MARK) for labels in marks.values()] == [False, True]
    robot.wait_for(lambda: under_test.count("labelled") == received + 2, "both to be counted")
    assert under_test.count("dropped") == 0
    assert first.is_closed
    robot.wait_for(lambda: _read(robot, "engine_state") == "ready", "the engine to be told")
    assert _read(robot, "backend") == "marked"
    assert parts.made[1].warmed == [(96, 128)]


def test_engine_is_warm_for_what_the_cameras_ask_before_it_serves(
    robot: Any, start_node: Any, builder: Builder
) -> None:
    parts = Upgradable(builder)
    start_node({"output.size": "64x48"}, factory=parts.make, finder=parts.find)
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene(0, (72, 88)), sec=1))
    builder.tell(DONE)
    robot.wait_for(lambda: _read(robot, "engine_state") == "ready", "the engine")
    first_call = parts.made[1].calls[0]
    assert (first_call["size_hw"], first_call["output_size"]) == ((72, 88), "64x48")
    # The comparison wants confidence, these cameras do not.
    assert not first_call["with_confidence"]


def test_node_whose_build_crashes_serves_on_and_says_so(
    robot: Any, start_node: Any, builder: Builder
) -> None:
    parts = Upgradable(builder)
    start_node(factory=parts.make, finder=parts.find)
    robot.listen("/proxia/labels", Image)
    robot.show(make_image(make_scene(), sec=1))
    builder.tell("os.abort()")
    status = robot.wait_for_diagnostic("model", "active; no engine: the build ended without")
    assert status.level == status.WARN
    labels = robot.show(make_image(make_scene(), sec=2))
    assert read_pixels(labels)[0, 0] != MARK
    assert len(parts.made) == 1


def test_cleanup_ends_the_build_and_the_next_configure_starts_another(
    robot: Any, start_node: Any, builder: Builder
) -> None:
    parts = Upgradable(builder)
    start_node(factory=parts.make, finder=parts.find)
    robot.wait_for_state("active")
    robot.wait_for(builder.is_running, "the builder")
    assert robot.deactivate()
    assert robot.clean_up()
    assert not builder.is_running()
    assert robot.configure()
    robot.wait_for(builder.is_running, "another builder")
    assert len(parts.made) == 2
    assert parts.made[0].is_closed


def test_stopped_node_leaves_no_builder_behind(
    robot: Any, start_node: Any, builder: Builder
) -> None:
    parts = Upgradable(builder)
    under_test = start_node(factory=parts.make, finder=parts.find)
    robot.wait_for(builder.is_running, "the builder")
    under_test.close()
    assert not builder.is_running()


def _read(robot: Any, key: str) -> str | None:
    """Return the model's newest value of this key, None before anything was told."""
    status = robot.find_diagnostic("model")
    values = () if status is None else status.values
    return next((pair.value for pair in values if pair.key == key), None)
