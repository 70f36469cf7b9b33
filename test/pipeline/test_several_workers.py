"""Several workers: cameras beside each other, a camera's own frames one after the other."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import Any

import pytest
from callable_stream import CallableStream

from proxia_segmentation_ros.pipeline.stream import Capacity
from proxia_segmentation_ros.pipeline.workers import FrameWorkers

TIMEOUT_S = 10.0
SHORT_S = 0.05


@dataclass
class Mill:
    """Labels that wait for their camera's gate; `inside` are the cameras of running calls."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    open_gates: set[str] = field(default_factory=set)
    inside: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    threads: dict[str, set[str]] = field(default_factory=dict)
    streams: dict[str, CallableStream] = field(default_factory=dict)

    def make_streams(self, cameras: str) -> list[CallableStream]:
        self.streams = {
            camera: CallableStream(
                camera=camera,
                decode=str,
                publish=lambda decoded, labelled: None,
                follow_up=lambda decoded, labelled, stages: None,
                reject=self.reject,
                age_ms=lambda decoded: 0.0,
            )
            for camera in cameras
        }
        return list(self.streams.values())

    def reject(self, _error: BaseException) -> Any:
        return "dropped_refused"

    def label(self, decoded: Sequence[str]) -> list[str]:
        with self.changed:
            for frame in decoded:
                self.inside.append(frame[0])
                self.threads.setdefault(frame[0], set()).add(threading.current_thread().name)
            self.changed.notify_all()
            if not self.changed.wait_for(
                lambda: all(frame[0] in self.open_gates for frame in decoded), TIMEOUT_S
            ):
                raise TimeoutError("the test left a gate shut")
            for frame in decoded:
                self.inside.remove(frame[0])
                self.done.append(frame)
            self.changed.notify_all()
            if any("bad" in frame for frame in decoded):
                raise ValueError(decoded)
            if any("exit" in frame for frame in decoded):
                raise SystemExit(3)
        return list(decoded)

    def wait_for(self, is_so: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> bool:
        with self.changed:
            return self.changed.wait_for(is_so, timeout_s)

    def open(self, *cameras: str) -> None:
        with self.changed:
            self.open_gates |= set(cameras)
            self.changed.notify_all()


@pytest.fixture
def mill() -> Mill:
    return Mill()


@pytest.fixture
def workers(mill: Mill) -> Iterator[FrameWorkers]:
    made = FrameWorkers()
    yield made
    mill.open(*"abcd")
    assert made.close(TIMEOUT_S)


def put(workers: FrameWorkers, *payloads: str) -> None:
    for payload in payloads:
        workers.put(payload[0], payload)


def begin_two(workers: FrameWorkers, mill: Mill, *payloads: str) -> None:
    """Put a frame each of the cameras a and b, and return when both are in the model."""
    workers.open(mill.make_streams("ab"), mill.label, lambda: Capacity(1, 2))
    put(workers, *payloads)
    assert mill.wait_for(lambda: len(mill.inside) == 2)


def test_slow_frame_of_one_camera_holds_up_no_other(workers: FrameWorkers, mill: Mill) -> None:
    workers.open(mill.make_streams("ab"), mill.label, lambda: Capacity(1, 2))
    mill.open("b")
    put(workers, "a1")
    assert mill.wait_for(lambda: mill.inside == ["a"])
    for payload in ("b1", "b2", "b3"):
        put(workers, payload)
        assert mill.wait_for(lambda payload=payload: payload in mill.done)  # type: ignore[misc]
    assert mill.inside == ["a"]


def test_frames_of_one_camera_never_run_beside_each_other(
    workers: FrameWorkers, mill: Mill
) -> None:
    workers.open(mill.make_streams("ab"), mill.label, lambda: Capacity(1, 2))
    put(workers, "a1")
    assert mill.wait_for(lambda: mill.inside == ["a"])
    put(workers, "a2", "b1")
    # The second worker has had its choice between them.
    assert mill.wait_for(lambda: mill.inside == ["a", "b"])
    mill.open("b")
    assert mill.wait_for(lambda: mill.done == ["b1"])
    assert mill.inside == ["a"]
    mill.open("a")
    assert mill.wait_for(lambda: mill.done == ["b1", "a1", "a2"])


@pytest.mark.parametrize("fault", ["bad", "exit"])
def test_frame_that_fails_beside_another_costs_its_own_camera_alone(
    workers: FrameWorkers, mill: Mill, fault: str
) -> None:
    begin_two(workers, mill, "a1", f"b {fault}")
    mill.open("a", "b")
    assert mill.wait_for(lambda: len(mill.done) == 2)
    put(workers, "b2")
    assert mill.wait_for(lambda: len(mill.done) == 3)
    workers.run(lambda: None).result(TIMEOUT_S)
    counts = [stream.ledger.counts() for stream in mill.streams.values()]
    assert [
        (camera_counts.labelled, camera_counts.dropped_refused, camera_counts.under_way)
        for camera_counts in counts
    ] == [
        (1, 0, 0),
        (1, 1, 0),
    ]


def test_more_cameras_than_workers_are_served_in_turns(workers: FrameWorkers, mill: Mill) -> None:
    workers.open(mill.make_streams("abc"), mill.label, lambda: Capacity(1, 2))
    put(workers, "a1")
    assert mill.wait_for(lambda: mill.inside == ["a"])
    put(workers, "b1", "c1")
    assert mill.wait_for(lambda: mill.inside == ["a", "b"])
    put(workers, "a2", "b2")
    mill.open("b")
    assert mill.wait_for(lambda: mill.inside == ["a", "c"])
    mill.open("a", "c")
    assert mill.wait_for(lambda: len(mill.done) == 5)
    assert mill.done[0] == "b1"
    assert len(set().union(*mill.threads.values())) == 2


def test_task_runs_beside_no_frame(workers: FrameWorkers, mill: Mill) -> None:
    begin_two(workers, mill, "a1", "b1")
    gate = threading.Event()
    name = workers.run(lambda: (list(mill.inside), threading.current_thread().name))
    held = workers.run(lambda: gate.wait(TIMEOUT_S))
    put(workers, "a2", "b2")
    mill.open("b")
    # One frame is still in the model, so that the task waits, and the next frames wait for it.
    assert mill.wait_for(lambda: mill.done == ["b1"])
    assert not wait([name], SHORT_S).done
    mill.open("a")
    assert name.result(TIMEOUT_S) == ([], "model")
    assert not mill.wait_for(lambda: len(mill.done) > 2 or bool(mill.inside), SHORT_S)
    gate.set()
    assert held.result(TIMEOUT_S)
    assert mill.wait_for(lambda: sorted(mill.done) == ["a1", "a2", "b1", "b2"])


def test_model_that_takes_one_call_at_a_time_stays_in_its_thread(
    workers: FrameWorkers, mill: Mill
) -> None:
    capacity = Capacity(1, 2)
    workers.open(mill.make_streams("ab"), mill.label, lambda: capacity)
    put(workers, "a1", "b1")
    assert mill.wait_for(lambda: len(mill.inside) == 2)
    capacity = Capacity(2, 1)
    mill.open("a", "b")
    assert mill.wait_for(lambda: len(mill.done) == 2)
    workers.run(mill.threads.clear).result(TIMEOUT_S)
    for count in range(3, 9):
        put(workers, f"a{count}", f"b{count}")
        assert mill.wait_for(lambda count=count: len(mill.done) == 2 * count - 2)  # type: ignore[misc]
    assert mill.threads == {"a": {"model"}, "b": {"model"}}


def test_pause_waits_for_the_frames_of_all_cameras(workers: FrameWorkers, mill: Mill) -> None:
    begin_two(workers, mill, "a1", "b1")
    put(workers, "a2")
    mill.open("a")
    assert not workers.pause(SHORT_S)
    mill.open("b")
    assert workers.pause(TIMEOUT_S)
    counts = {camera: stream.ledger.counts() for camera, stream in mill.streams.items()}
    assert [camera_counts.under_way for camera_counts in counts.values()] == [0, 0]
    assert counts["b"].labelled == 1


def test_close_waits_for_no_busy_worker(mill: Mill) -> None:
    workers = FrameWorkers()
    begin_two(workers, mill, "a1", "b1")
    mill.open("a")
    assert not workers.close(SHORT_S)
    mill.open("b")
    assert workers.close(TIMEOUT_S)
