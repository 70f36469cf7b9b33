"""Lends each of several calls at a time a lane of its own, and a share of the processor."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from proxia_segmentation_ros.backends.contract import ALONE, Lane

# Between two frames of a camera that always has one waiting lies what is done around the model.
BUSY_GAP = 0.25


class Lanes:
    """As many calls run at a time as there are lanes; further ones wait.

    A call asks for the whole processor, so that it takes the shortest time; of several such calls
    one runs after the other. Only where no lane has rested, because frames wait all the time, it
    makes do with a share beside the others that run: together they get more done.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._reserving = 0
        self._is_exclusive = False
        self._began_s: dict[int, float] = {}
        self.count = 1
        self._shares: Sequence[int] = (1,)
        self._free = [0]
        self._waiting: list[object] = []
        self._ended_s = [float("-inf")]
        self._lasted_s = [0.0]

    def open(self, count: int, shares: Sequence[int]) -> None:
        """Have `count` lanes, which take one of these shares, ascending; while all are taken."""
        self.count = count
        self._shares = tuple(shares)
        self._free = list(range(count))
        self._ended_s = [float("-inf")] * count
        self._lasted_s = [0.0] * count

    def list_all(self) -> list[Lane]:
        """Return the lanes that calls may get."""
        shares = dict.fromkeys(self._round_up(calls) for calls in range(1, self.count + 1))
        lanes = [Lane(index=i, share=share) for share in shares for i in range(self.count)]
        return list(dict.fromkeys([ALONE, *lanes]))

    @contextmanager
    def take(self) -> Iterator[Lane]:
        """Lend a lane for one call; calls that wait come in turn."""
        with self._changed:
            self._wait_for_turn()
            # Beside others that which rested longest: a lane is busy only where all of them are.
            index = min(self._free, key=self._ended_s.__getitem__ if self._began_s else None)
            self._free.remove(index)
            began_s = self._began_s[index] = self._clock()
            rested_s = began_s - self._ended_s[index]
            is_busy = rested_s < BUSY_GAP * self._lasted_s[index]
            lane = Lane(index=index, share=self._round_up(len(self._began_s) if is_busy else 1))
        try:
            yield lane
        finally:
            with self._changed:
                self._ended_s[index] = self._clock()
                self._lasted_s[index] = self._ended_s[index] - self._began_s.pop(index)
                self._free.append(index)
                self._changed.notify_all()

    @contextmanager
    def take_all(self) -> Iterator[None]:
        """Wait until no call runs, and let none begin meanwhile; one thread at a time."""
        with self._changed:
            self._reserving += 1
            try:
                self._changed.wait_for(lambda: not self._began_s and not self._is_exclusive)
            except BaseException:
                self._reserving -= 1
                self._changed.notify_all()
                raise
            self._is_exclusive = True
        try:
            yield
        finally:
            with self._changed:
                self._is_exclusive = False
                self._reserving -= 1
                self._changed.notify_all()

    def _wait_for_turn(self) -> None:
        ticket = object()
        self._waiting.append(ticket)
        try:
            self._changed.wait_for(
                lambda: self._waiting[0] is ticket and self._free and not self._reserving
            )
        finally:
            self._waiting.remove(ticket)
            self._changed.notify_all()

    def _round_up(self, calls: int) -> int:
        share = next((share for share in self._shares if share >= calls), self._shares[-1])
        return min(share, self.count)
