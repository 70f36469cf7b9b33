"""Calls at one time, each with its lane and its share."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from proxia_segmentation_ros.backends.contract import ALONE, Lane
from proxia_segmentation_ros.inference.lanes import Lanes

TIMEOUT_S = 10.0


class Street:
    """Lanes and a clock that stands still."""

    def __init__(self, count: int) -> None:
        self.now_s = 100.0
        self.lanes = Lanes(lambda: self.now_s)
        self.lanes.open(count, (1, 2, 4))
        self._running: dict[str, AbstractContextManager[Lane]] = {}

    def begin(self, name: str, at_s: float) -> Lane:
        self.now_s = 100.0 + at_s
        self._running[name] = self.lanes.take()
        return self._running[name].__enter__()

    def end(self, name: str, at_s: float) -> None:
        self.now_s = 100.0 + at_s
        self._running.pop(name).__exit__(None, None, None)

    def saturate(self, *names: str) -> None:
        """Run a call of each for a second, until just now."""
        for name in names:
            self.begin(name, -1.0)
        for name in names:
            self.end(name, 0.0)


def test_lone_calls_have_the_whole_processor_however_close_they_follow() -> None:
    street = Street(2)
    for start_s in range(3):
        assert street.begin("a", start_s) == ALONE
        street.end("a", start_s + 0.999)


def test_cameras_whose_frames_wait_all_the_time_share_the_processor() -> None:
    street = Street(2)
    street.saturate("a", "b")
    assert street.begin("a", 0.1) == Lane(index=0, share=1)
    assert street.begin("b", 0.1) == Lane(index=1, share=2)
    street.end("a", 1.0)
    assert street.begin("a", 1.1) == Lane(index=0, share=2)
    street.end("b", 1.2)
    assert street.begin("b", 1.3) == Lane(index=1, share=2)


def test_camera_whose_neighbour_has_died_gets_all_threads_back_at_once() -> None:
    street = Street(2)
    street.saturate("a", "b")
    street.begin("b", 0.1)
    assert street.begin("a", 0.1).share == 2
    street.end("b", 0.5)
    street.end("a", 1.0)
    assert street.begin("a", 1.1).share == 1


def test_overlap_by_chance_slows_no_later_frame() -> None:
    """Two cameras at 10 Hz, half a period apart; a frame takes 35 ms, with half the threads 62."""
    street = Street(2)
    events: list[tuple[float, int, str]] = []
    for count in range(20):
        early_s = 0.02 if count == 5 else 0.0
        events += [(0.1 * count, 1, "a"), (0.1 * count + 0.05 - early_s, 1, "b")]
    shares = []
    while events:
        events.sort()
        at_s, is_begin, name = events.pop(0)
        if not is_begin:
            street.end(name, at_s)
            continue
        shares.append(street.begin(name, at_s).share)
        events.append((at_s + (0.035 if shares[-1] == 1 else 0.062), 0, name))
    assert shares == [1] * 40


def test_lane_that_rested_longest_is_taken_so_that_near_neighbours_are_not_busy() -> None:
    """Three cameras at 10 Hz, 20 ms apart; a frame takes 35 ms."""
    street = Street(3)
    for count in range(5):
        for name, at_s in (("a", 0.0), ("b", 0.02), ("end a", 0.035), ("c", 0.04)):
            if name.startswith("end"):
                street.end("a", 0.1 * count + at_s)
            else:
                assert street.begin(name, 0.1 * count + at_s).share == 1
        street.end("b", 0.1 * count + 0.055)
        street.end("c", 0.1 * count + 0.075)


@pytest.mark.parametrize(("count", "shares"), [(3, [1, 2, 3]), (4, [1, 2, 4, 4])])
def test_shares_leave_no_core_to_a_lane_that_is_not_there(count: int, shares: list[int]) -> None:
    street = Street(count)
    names = "abcd"[:count]
    street.saturate(*names)
    found = [street.begin(name, 0.1) for name in names]
    assert [lane.index for lane in found] == list(range(count))
    assert [lane.share for lane in found] == shares
    assert set(found) <= set(street.lanes.list_all())


def test_lanes_to_prepare_begin_with_the_whole_processor() -> None:
    assert Street(1).lanes.list_all() == [ALONE]
    listed = Street(2).lanes.list_all()
    assert listed[0] == ALONE
    assert {(lane.index, lane.share) for lane in listed} == {(0, 1), (1, 1), (0, 2), (1, 2)}


def run_beside(do: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    return thread


class Queue:
    """Threads that take lanes, and the order in which they got them."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.order: list[str] = []
        self.threads: list[threading.Thread] = []

    def call(self, name: str) -> None:
        """Start a call and return when it waits."""

        def run() -> None:
            with self.lanes.take():
                self.order.append(name)

        waiting = len(self.lanes._waiting)
        self.threads.append(run_beside(run))
        self.wait_until(lambda: len(self.lanes._waiting) > waiting)

    def take_all(self, name: str, hold: threading.Event) -> None:
        """Start to take all lanes and return when that waits or has them."""

        def run() -> None:
            with self.lanes.take_all():
                self.order.append(name)
                hold.wait(TIMEOUT_S)

        reserving = self.lanes._reserving
        self.threads.append(run_beside(run))
        self.wait_until(lambda: self.lanes._reserving > reserving)

    def finish(self) -> list[str]:
        for thread in self.threads:
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()
        return self.order

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait while the newest thread goes on."""
        for _ in range(1000):
            if is_so():
                return
            self.threads[-1].join(0.01)
        raise TimeoutError("it never waited")


def test_calls_without_a_free_lane_wait_and_come_in_turn() -> None:
    queue = Queue(Lanes())
    with queue.lanes.take():
        for name in "abc":
            queue.call(name)
        assert queue.order == []
    assert queue.finish() == ["a", "b", "c"]


def test_call_that_fails_gives_its_lane_back() -> None:
    lanes = Lanes()
    with pytest.raises(KeyError), lanes.take():
        raise KeyError
    queue = Queue(lanes)
    with lanes.take() as lane:
        assert lane == ALONE
        queue.call("next")
    assert queue.finish() == ["next"]


def test_nothing_runs_while_all_lanes_are_taken() -> None:
    queue = Queue(Lanes())
    with queue.lanes.take_all():
        queue.lanes.open(2, (1, 2))
        queue.call("a")
        assert queue.order == []
    assert queue.finish() == ["a"]


def test_whoever_wants_all_lanes_gets_them_before_the_next_call_and_alone() -> None:
    queue, hold = Queue(Lanes()), threading.Event()
    with queue.lanes.take():
        queue.take_all("all", hold)
        queue.call("call")
        assert queue.order == []
    queue.wait_until(lambda: queue.order == ["all"])
    queue.take_all("all again", hold)
    assert queue.order == ["all"]
    hold.set()
    assert sorted(queue.finish()[:2]) == ["all", "all again"]
    assert queue.order[2] == "call"


def test_wait_for_all_lanes_that_is_broken_off_keeps_nobody_out() -> None:
    class Impatient(threading.Condition):
        def wait_for(self, predicate, timeout=None):
            if not predicate():
                raise KeyboardInterrupt
            return True

    lanes = Lanes()
    with lanes.take():
        patient, lanes._changed = lanes._changed, Impatient()
        with pytest.raises(KeyboardInterrupt), lanes.take_all():
            pass
        lanes._changed = patient
    with lanes.take_all(), pytest.raises(KeyError):
        raise KeyError
    with lanes.take() as lane:
        assert lane == ALONE
