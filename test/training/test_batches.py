"""Batches drawn ahead by threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from proxia_segmentation_ros.data.dataset import Pair
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.training import batches
from proxia_segmentation_ros.training.batches import STEPS_AHEAD, BatchLoader


class NumberedPairs:
    """Pairs that hold their own place; `slow` ones wait until another one has been drawn."""

    def __init__(self, slow: int = -1, broken: int = -1) -> None:
        self.drawn: list[int] = []
        self._slow, self._broken = slow, broken
        self._is_another_drawn = threading.Event()

    def __getitem__(self, index: int) -> Pair:
        if index == self._slow:
            assert self._is_another_drawn.wait(10)
        if index == self._broken:
            raise InputError.from_parts(f"pair {index} is broken", "a pair", "mend it")
        self.drawn.append(index)
        self._is_another_drawn.set()
        return np.full((2, 3, 3), index, np.uint8), np.full((2, 3), index, np.uint8)


def read_places(step: list[batches.Batch]) -> list[list[int]]:
    for images, labels in step:
        assert images.shape[1:] == (2, 3, 3)
        assert (images[..., 0] == labels).all()
    return [labels[:, 0, 0].tolist() for _, labels in step]


def test_batches_come_in_the_order_of_their_places() -> None:
    drawer = BatchLoader(NumberedPairs(), batch_size=3, accumulate=2)
    got = [read_places(step) for step in drawer.iterate(1, 4)]
    assert got == [
        [[6, 7, 8], [9, 10, 11]],
        [[12, 13, 14], [15, 16, 17]],
        [[18, 19, 20], [21, 22, 23]],
    ]


def test_slow_pair_changes_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    drawer = BatchLoader(NumberedPairs(slow=0), batch_size=2, accumulate=1)
    assert [read_places(step) for step in drawer.iterate(0, 2)] == [[[0, 1]], [[2, 3]]]


def test_two_processes_share_the_batches_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "get_world_size", lambda: 2)
    places = []
    for rank in range(2):
        monkeypatch.setattr(batches, "get_rank", lambda rank=rank: rank)
        places += BatchLoader(NumberedPairs(), batch_size=2, accumulate=3).list_indices(5)
    whole = BatchLoader(NumberedPairs(), batch_size=4, accumulate=3)
    monkeypatch.setattr(batches, "get_world_size", lambda: 1)
    monkeypatch.setattr(batches, "get_rank", lambda: 0)
    assert sorted(places) == whole.list_indices(5)


def test_processes_share_the_cores_of_their_own_machine_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 32)
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 16)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 0)
    pools: list[int] = []

    def open_pool(threads: int) -> ThreadPoolExecutor:
        pools.append(threads)
        return ThreadPoolExecutor(threads)

    monkeypatch.setattr(batches, "ThreadPoolExecutor", open_pool)
    drawer = BatchLoader(NumberedPairs(), batch_size=8, accumulate=1)
    list(drawer.iterate(0, 1))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    list(drawer.iterate(0, 1))
    assert pools == [2, 4]


def test_no_more_is_drawn_than_needed_soon() -> None:
    pairs = NumberedPairs()
    steps = BatchLoader(pairs, batch_size=1, accumulate=1).iterate(0, 100)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert set(pairs.drawn) <= set(range(1 + STEPS_AHEAD))


def test_broken_pair_is_told_at_its_step() -> None:
    steps = BatchLoader(NumberedPairs(broken=3), batch_size=2, accumulate=1).iterate(0, 4)
    assert read_places(next(steps)) == [[0, 1]]
    with pytest.raises(InputError, match="pair 3 is broken"):
        next(steps)


def test_opencv_gets_its_threads_back() -> None:
    before = cv2.getNumThreads()
    steps = BatchLoader(NumberedPairs(), batch_size=1, accumulate=1).iterate(0, 2)
    next(steps)
    during = cv2.getNumThreads()
    list(steps)
    assert (during, cv2.getNumThreads()) == (1, before)
