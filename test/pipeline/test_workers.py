"""One worker: newest frames, tasks between frames, counters that add up."""

import threading
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import dataclass, field, replace

import pytest
from callable_stream import CallableStream

from proxia_segmentation_ros.pipeline.stream import Capacity
from proxia_segmentation_ros.pipeline.workers import FrameWorkers

TIMEOUT_S = 10.0


@dataclass
class Worksite:
    """Steps that record their frames; `gate` blocks the labelling while cleared."""

    camera: str = "a"
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    left: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    labelled: list = field(default_factory=list)
    rejected: list = field(default_factory=list)
    threads: set = field(default_factory=set)

    def make_stream(self) -> CallableStream:
        return CallableStream(
            camera=self.camera,
            decode=self.decode,
            publish=lambda decoded, labelled: self.labelled.append(labelled),
            follow_up=self.follow_up,
            reject=self.reject,
            age_ms=lambda decoded: 1.0,
        )

    def decode(self, payload):
        if payload == "broken":
            self.left.release()
            raise ValueError(payload)
        return payload

    def label(self, decoded):
        self.threads.add(threading.current_thread().name)
        self.entered.release()
        assert self.gate.wait(TIMEOUT_S)
        return list(decoded)

    def follow_up(self, decoded, labelled, stages):
        self.left.release()
        if decoded == "no follow-up":
            raise ValueError(decoded)

    def reject(self, error):
        self.rejected.append(str(error))
        return "dropped_undecodable"


@pytest.fixture
def site() -> Worksite:
    made = Worksite()
    made.gate.set()
    return made


@pytest.fixture
def workers() -> Iterator[FrameWorkers]:
    made = FrameWorkers()
    yield made
    assert made.close(TIMEOUT_S)


def finish(workers: FrameWorkers) -> None:
    """Wait for everything that came before."""
    assert wait([workers.run(lambda: None)], TIMEOUT_S).done


def test_frames_pass_through_every_step_in_one_thread(workers, site):
    stream = site.make_stream()
    workers.open([stream], site.label)
    for payload in "xyz":
        workers.put("a", payload)
        assert site.left.acquire(timeout=TIMEOUT_S)
    finish(workers)
    assert site.labelled == ["x", "y", "z"]
    assert site.threads == {"model"}
    assert stream.ledger.counts().labelled == 3
    assert stream.meter.times(0.0).rate_hz == 3.0


def test_newest_frame_replaces_waiting_frame(workers, site):
    stream = site.make_stream()
    site.gate.clear()
    workers.open([stream], site.label)
    workers.put("a", 1)
    assert site.entered.acquire(timeout=TIMEOUT_S)
    for payload in (2, 3, 4):
        workers.put("a", payload)
    assert stream.ledger.counts().under_way == 2
    site.gate.set()
    for _ in range(2):
        assert site.left.acquire(timeout=TIMEOUT_S)
    finish(workers)
    counts = stream.ledger.counts()
    assert site.labelled == [1, 4]
    assert (counts.received, counts.labelled, counts.dropped_replaced) == (4, 2, 2)
    assert counts.under_way == 0


def test_dead_camera_does_not_hold_up_the_others(workers, site):
    dead = Worksite(camera="dead")
    workers.open([dead.make_stream(), site.make_stream()], site.label, lambda: Capacity(2))
    for payload in (1, 2):
        workers.put("a", payload)
        assert site.left.acquire(timeout=TIMEOUT_S)
    finish(workers)
    assert site.labelled == [1, 2]


def test_rounds_grow_when_more_frames_may_share_a_call(workers, site):
    other, rounds, most = Worksite(camera="b"), [], 1

    def label(decoded):
        rounds.append(list(decoded))
        return site.label(decoded)

    def put_both():
        for camera in "ab":
            workers.put(camera, camera)

    workers.open([site.make_stream(), other.make_stream()], label, lambda: Capacity(most))
    workers.run(put_both).result(TIMEOUT_S)
    finish_frames = [stream.left.acquire(timeout=TIMEOUT_S) for stream in (site, other)]
    most = 2
    workers.run(put_both).result(TIMEOUT_S)
    finish_frames += [stream.left.acquire(timeout=TIMEOUT_S) for stream in (site, other)]
    assert all(finish_frames)
    assert rounds == [["a"], ["b"], ["a", "b"]]


def test_broken_frame_is_rejected_and_the_next_one_labelled(workers, site):
    stream = site.make_stream()
    workers.open([stream], site.label)
    for payload in ("broken", "good"):
        workers.put("a", payload)
        assert site.left.acquire(timeout=TIMEOUT_S)
    finish(workers)
    counts = stream.ledger.counts()
    assert site.rejected == ["broken"]
    assert (counts.labelled, counts.dropped_undecodable, counts.under_way) == (1, 1, 0)


def test_report_that_fails_itself_leaves_the_worker_alive(workers, site):
    def fail(error):
        raise RuntimeError("the log is gone")

    stream = replace(site.make_stream(), reject=fail)
    workers.open([stream], site.label)
    for payload in ("broken", "good"):
        workers.put("a", payload)
        assert site.left.acquire(timeout=TIMEOUT_S)
    finish(workers)
    counts = stream.ledger.counts()
    assert (counts.labelled, counts.dropped_failed, counts.under_way) == (1, 1, 0)


def test_task_that_exits_is_an_error_of_who_waits(workers):
    def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        workers.run(leave).result(TIMEOUT_S)
    assert workers.run(lambda: 7).result(TIMEOUT_S) == 7


def test_frame_counts_as_labelled_once_its_labels_are_out(workers, site):
    stream = site.make_stream()
    workers.open([stream], site.label)
    workers.put("a", "no follow-up")
    assert site.left.acquire(timeout=TIMEOUT_S)
    finish(workers)
    assert site.rejected == ["no follow-up"]
    assert (stream.ledger.counts().labelled, stream.ledger.counts().dropped) == (1, 0)


def test_task_runs_between_two_frames(workers, site):
    site.gate.clear()
    workers.open([site.make_stream()], site.label)
    workers.put("a", 1)
    assert site.entered.acquire(timeout=TIMEOUT_S)
    workers.put("a", 2)
    task = workers.run(lambda: list(site.labelled))
    site.gate.set()
    assert task.result(TIMEOUT_S) == [1]


def test_failing_task_hands_its_error_to_who_waits(workers):
    def fail():
        raise KeyError("x")

    assert isinstance(workers.run(fail).exception(TIMEOUT_S), KeyError)
    assert workers.run(lambda: 5).result(TIMEOUT_S) == 5


def test_pause_counts_the_waiting_frame_and_waits_for_the_one_in_the_model(workers, site):
    stream = site.make_stream()
    site.gate.clear()
    workers.open([stream], site.label)
    workers.put("a", 1)
    assert site.entered.acquire(timeout=TIMEOUT_S)
    workers.put("a", 2)
    assert not workers.pause(0.01)
    site.gate.set()
    assert workers.pause(TIMEOUT_S)
    counts = stream.ledger.counts()
    assert (counts.received, counts.labelled, counts.dropped_paused) == (2, 1, 1)


def test_paused_pipeline_takes_no_frame(workers, site):
    stream = site.make_stream()
    workers.open([stream], site.label)
    assert workers.pause(TIMEOUT_S)
    workers.put("a", 1)
    finish(workers)
    assert stream.ledger.counts().received == 0


def test_rate_limit_lets_the_newest_frame_through_when_it_is_lifted(workers, site):
    stream = site.make_stream()
    workers.open([stream], site.label)
    workers.limit_rate(0.001)
    workers.put("a", 1)
    assert site.left.acquire(timeout=TIMEOUT_S)
    workers.put("a", 2)
    workers.put("a", 3)
    assert stream.ledger.counts().dropped_paused == 1
    workers.limit_rate(0.0)
    assert site.left.acquire(timeout=TIMEOUT_S)
    finish(workers)
    assert site.labelled == [1, 3]


def test_closed_pipeline_cancels_what_comes_late():
    workers = FrameWorkers()
    assert workers.close(TIMEOUT_S)
    assert workers.run(lambda: None).cancelled()


def test_close_does_not_wait_for_a_busy_model(site):
    workers = FrameWorkers()
    site.gate.clear()
    workers.open([site.make_stream()], site.label)
    workers.put("a", 1)
    assert site.entered.acquire(timeout=TIMEOUT_S)
    assert not workers.close(0.01)
    site.gate.set()
    assert workers.close(TIMEOUT_S)


def test_worker_that_dies_is_replaced_and_told_of(workers, site):
    calls = []

    def find_capacity() -> Capacity:
        calls.append(threading.current_thread().name)
        if calls.count("model") == 1:
            raise ZeroDivisionError("no such capacity")
        return Capacity()

    assert workers.recent_crash(60.0) is None
    workers.open([site.make_stream()], site.label, find_capacity)
    workers.put("a", "frame")
    assert site.left.acquire(timeout=TIMEOUT_S)
    assert workers.recent_crash(60.0) == "ZeroDivisionError: no such capacity"
    assert len(site.labelled) == 1


@pytest.mark.parametrize("rate_hz", [1e-10, 1e-300])
def test_rate_that_is_almost_0_does_not_end_the_worker(workers, site, rate_hz):
    workers.open([site.make_stream()], site.label)
    workers.limit_rate(rate_hz)
    workers.put("a", "first")
    assert site.left.acquire(timeout=TIMEOUT_S)
    workers.put("a", "second")
    finish(workers)
    workers.limit_rate(0.0)
    assert site.left.acquire(timeout=TIMEOUT_S)
    assert site.labelled == ["first", "second"]
    assert workers.recent_crash(60.0) is None
