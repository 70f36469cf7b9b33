"""Calls at one time, each with its lane and its share."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

import pytest

from proxia_segmentation_ros.inference.frame_plan import ALONE, Lane
from proxia_segmentation_ros.inference.lanes import Lanes

TIMEOUT_S = 10.0
SHORT_S = 0.05


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


@pytest.mark.parametrize(("count", "shares"), [(3, [1, 2, 3]), (4, [1, 2, 4, 4])])
def test_shares_leave_no_core_to_a_lane_that_is_not_there(count: int, shares: list[int]) -> None:
    street = Street(count)
    names = "abcd"[:count]
    street.saturate(*names)
    found = [street.begin(name, 0.1) for name in names]
    assert [one.index for one in found] == list(range(count))
    assert [one.share for one in found] == shares
    assert set(found) <= set(street.lanes.list_all())


def test_lanes_to_prepare_begin_with_the_whole_processor() -> None:
    assert Street(1).lanes.list_all() == [ALONE]
    listed = Street(2).lanes.list_all()
    assert listed[0] == ALONE
    assert {(one.index, one.share) for one in listed} == {(0, 1), (1, 1), (0, 2), (1, 2)}


def run_beside(do: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def taken() -> list[Lane]:
    return []


def test_call_without_a_free_lane_waits(taken: list[Lane]) -> None:
    lanes = Lanes()

    def call() -> None:
        with lanes.take() as lane:
            taken.append(lane)

    with lanes.take():
        thread = run_beside(call)
        thread.join(SHORT_S)
        assert taken == []
    thread.join(TIMEOUT_S)
    assert taken == [ALONE]


def test_call_that_fails_gives_its_lane_back() -> None:
    lanes = Lanes()
    with pytest.raises(KeyError), lanes.take():
        raise KeyError
    with lanes.take() as lane:
        assert lane == ALONE


def test_nothing_runs_while_all_lanes_are_taken(taken: list[Lane]) -> None:
    lanes = Lanes()

    def call() -> None:
        with lanes.take() as lane:
            taken.append(lane)

    with lanes.take_all():
        lanes.open(2, (1, 2))
        thread = run_beside(call)
        thread.join(SHORT_S)
        assert taken == []
    thread.join(TIMEOUT_S)
    assert len(taken) == 1


def test_whoever_wants_all_lanes_gets_them_before_the_next_call() -> None:
    lanes = Lanes()
    order: list[str] = []

    def take_all() -> None:
        with lanes.take_all():
            order.append("all")

    def call() -> None:
        with lanes.take():
            order.append("call")

    with ExitStack() as stack:
        stack.enter_context(lanes.take())
        threads = [run_beside(take_all)]
        while not lanes._reserving:
            threads[0].join(0.001)
        threads.append(run_beside(call))
        threads[1].join(SHORT_S)
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert order == ["all", "call"]
