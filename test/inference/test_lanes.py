"""Calls at one time, each with its lane and its share."""

import threading
from contextlib import ExitStack

from proxia_segmentation_ros.inference.frame_plan import Lane
from proxia_segmentation_ros.inference.lanes import Lanes

TIMEOUT_S = 10.0
SHARES = (1, 2, 4)


def make_lanes(count: int) -> Lanes:
    lanes = Lanes()
    lanes.open(count, SHARES)
    return lanes


def test_lone_call_has_the_whole_processor() -> None:
    lanes = make_lanes(2)
    for _ in range(3):
        with lanes.take() as lane:
            assert lane == Lane(index=0, share=1)


def test_calls_that_overlap_get_lanes_and_shares_of_their_own() -> None:
    lanes = make_lanes(4)
    with ExitStack() as stack:
        found = [stack.enter_context(lanes.take()) for _ in range(4)]
    assert [one.index for one in found] == [0, 1, 2, 3]
    assert [one.share for one in found] == [1, 2, 4, 4]


def test_cameras_that_fire_together_share_from_the_second_frame_on() -> None:
    lanes = make_lanes(2)
    for round_ in range(3):
        with lanes.take() as first, lanes.take() as second:
            assert [first.share, second.share] == [1 if round_ == 0 else 2, 2]


def test_camera_whose_neighbour_has_died_gets_all_threads_back() -> None:
    lanes = make_lanes(2)
    with lanes.take(), lanes.take():
        pass
    shares = []
    for _ in range(3):
        with lanes.take() as lane:
            shares.append(lane.share)
    assert shares == [2, 1, 1]


def test_call_without_a_free_lane_waits() -> None:
    lanes = make_lanes(1)
    entered, found = threading.Event(), []

    def call() -> None:
        entered.set()
        with lanes.take() as lane:
            found.append(lane)

    with lanes.take():
        thread = threading.Thread(target=call)
        thread.start()
        assert entered.wait(TIMEOUT_S)
        thread.join(0.05)
        assert found == []
    thread.join(TIMEOUT_S)
    assert found == [Lane()]


def test_call_that_fails_gives_its_lane_back() -> None:
    lanes = make_lanes(1)
    try:
        with lanes.take():
            raise KeyError("x")
    except KeyError:
        pass
    with lanes.take_all():
        assert lanes.count == 1


def test_lanes_to_prepare_are_those_that_calls_get() -> None:
    lanes = make_lanes(3)
    with ExitStack() as stack:
        taken = [stack.enter_context(lanes.take()) for _ in range(3)]
    with ExitStack() as stack:
        taken += [stack.enter_context(lanes.take()) for _ in range(3)]
    with lanes.take():
        with lanes.take() as second:
            pass
        with lanes.take() as third:
            pass
    listed = lanes.list_all()
    assert {*taken, second, third} <= set(listed)
    assert len(listed) == len(set(listed)) == 1 + 2 + 3


def test_one_lane_takes_the_whole_processor() -> None:
    assert make_lanes(1).list_all() == [Lane()]


def test_nothing_runs_while_all_lanes_are_taken() -> None:
    lanes = make_lanes(2)
    found: list[Lane] = []

    def call() -> None:
        with lanes.take() as lane:
            found.append(lane)

    with lanes.take_all():
        thread = threading.Thread(target=call)
        thread.start()
        thread.join(0.05)
        assert found == []
    thread.join(TIMEOUT_S)
    assert len(found) == 1
