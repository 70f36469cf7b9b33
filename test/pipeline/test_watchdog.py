"""A frame that hangs is given up; the next one is served by a new thread."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from callable_stream import CallableStream

from proxia_segmentation_ros.pipeline.attempt import Attempt
from proxia_segmentation_ros.pipeline.watchdog import PERIOD_S, Watchdog
from proxia_segmentation_ros.pipeline.workers import FrameWorkers

TIMEOUT_S = 10.0


class Place:
    """Workers whose segmenter hangs on request, and a watchdog with a clock of ours."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.gates: list[threading.Event] = []
        self.entered = threading.Semaphore(0)
        self.published: list[str] = []
        self.publishing = threading.Semaphore(0)
        self.overdue: list[tuple[tuple[str, ...], str, float]] = []
        self.deadline_s = 1.0
        self.workers = FrameWorkers()
        self.stream = CallableStream(
            camera="a",
            decode=lambda payload: payload,
            publish=self.publish,
            follow_up=lambda frame, labels, stages: None,
            reject=lambda error: "dropped_failed",
            age_ms=lambda frame: 1.0,
        )
        self.workers.open([self.stream], self.segment)
        self.watchdog = Watchdog(
            self.workers, lambda: self.deadline_s, self.note, clock=lambda: self.now_s, start=False
        )

    def segment(self, frames: Sequence[Any]) -> Sequence[Any]:
        self.entered.release()
        for frame in frames:
            if frame == "hang":
                self.gates.append(threading.Event())
                assert self.gates[-1].wait(TIMEOUT_S)
        return frames

    def publish(self, frame: str, _labels: str) -> None:
        self.published.append(frame)
        self.publishing.release()

    def note(self, attempt: Attempt) -> None:
        self.overdue.append((attempt.cameras, attempt.stage, attempt.age_s))

    def serve(self, frame: str) -> None:
        self.workers.put("a", frame)
        assert self.entered.acquire(timeout=TIMEOUT_S)
        if frame != "hang":
            assert self.publishing.acquire(timeout=TIMEOUT_S)

    def warm_up(self) -> None:
        """Serve the frames that have a longer deadline, and wait until they are counted."""
        for index in range(3):
            self.serve(f"first {index}")
        self.workers.run(lambda: None).result(TIMEOUT_S)

    def pass_time(self, seconds: float, step_s: float = PERIOD_S) -> None:
        for _ in range(round(seconds / step_s)):
            self.now_s += step_s
            self.watchdog.look()


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    for gate in made.gates:
        gate.set()
    assert made.workers.close(TIMEOUT_S)


def test_hanging_call_is_given_up_at_the_deadline_and_the_next_frame_is_served(
    place: Place,
) -> None:
    place.warm_up()
    place.serve("hang")
    place.pass_time(0.9)
    assert place.overdue == []
    place.pass_time(0.3)
    assert place.overdue == [(("a",), "segment", pytest.approx(1.1, abs=0.1))]
    place.serve("next")
    assert place.published[-1] == "next"
    counts = place.stream.ledger.counts()
    assert (counts.labelled, counts.dropped_failed, counts.under_way) == (4, 1, 0)


def test_no_frame_starts_before_the_watcher_has_been_told(place: Place) -> None:
    place.warm_up()
    place.serve("hang")
    place.workers.put("a", "waits")
    has_started: list[bool] = []
    place.watchdog = Watchdog(
        place.workers,
        lambda: place.deadline_s,
        lambda attempt: has_started.append(place.entered.acquire(timeout=0.2)),
        clock=lambda: place.now_s,
        start=False,
    )
    place.pass_time(1.2)
    assert has_started == [False]
    assert place.entered.acquire(timeout=TIMEOUT_S)
    assert place.publishing.acquire(timeout=TIMEOUT_S)


def test_labels_that_come_after_the_deadline_are_thrown_away(place: Place) -> None:
    place.warm_up()
    place.serve("hang")
    place.pass_time(1.2)
    (gate,) = place.gates
    late = next(thread for thread in threading.enumerate() if thread.name == "model")
    gate.set()
    place.serve("next")
    late.join(0.5)
    assert "hang" not in place.published
    assert place.stream.ledger.counts().dropped_failed == 1


def test_first_frames_may_take_longer(place: Place) -> None:
    place.serve("hang")
    place.pass_time(9.0)
    assert place.overdue == []
    place.pass_time(2.0)
    assert len(place.overdue) == 1


def test_deadline_grows_where_frames_are_slow_as_a_rule(place: Place) -> None:
    for _ in range(3):
        place.serve("hang")
        place.pass_time(2.0)
        place.gates[-1].set()
        assert place.publishing.acquire(timeout=TIMEOUT_S)
        place.workers.run(lambda: None).result(TIMEOUT_S)
    place.serve("hang")
    place.pass_time(7.5)
    assert place.overdue == []
    place.pass_time(1.0)
    assert len(place.overdue) == 1


def test_process_that_was_suspended_has_not_hung(place: Place) -> None:
    place.warm_up()
    place.serve("hang")
    place.pass_time(6.0, step_s=6.0)
    assert place.overdue == []


def test_deadline_0_gives_nothing_up(place: Place) -> None:
    place.deadline_s = 0.0
    place.warm_up()
    place.serve("hang")
    place.pass_time(100.0)
    assert place.overdue == []


def test_watchdog_looks_by_itself(place: Place) -> None:
    place.warm_up()
    place.deadline_s = 0.2
    seen = threading.Event()
    watchdog = Watchdog(place.workers, lambda: 0.2, lambda attempt: seen.set())
    place.serve("hang")
    assert seen.wait(TIMEOUT_S)
    watchdog.close()
