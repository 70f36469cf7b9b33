"""Schedules concurrent inference calls: each gets a lane, and a share of the CPU threads.

Shares answer a trade-off. One call on all cores has the lowest latency; several calls, each on some
of the cores, have the higher throughput. So a call gets the whole processor as long as there are
pauses between calls, and only a share once frames are always waiting.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from proxia_segmentation_ros.backends.contract import ALONE, Lane

# A lane is saturated if its pause is shorter than this part of its last call. The pause is not
# zero even if a frame always waits: decoding and publishing happen outside of the model.
BUSY_GAP = 0.25


class Lanes:
    """A lane is the right to run one inference call: at most `count` run concurrently, others wait.

    A `share` of n leaves room for n calls, so the call uses about 1/n of the threads. A call gets
    share 1 unless its lane is saturated; then its share is the number of running calls, rounded up
    to one that the backend offers.
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
        """Set the number of lanes and their possible shares, ascending; call it in `take_all`."""
        self.count = count
        self._shares = tuple(shares)
        self._free = list(range(count))
        self._ended_s = [float("-inf")] * count
        self._lasted_s = [0.0] * count

    def list_all(self) -> list[Lane]:
        """Return all lanes that `take` may yield."""
        shares = dict.fromkeys(self._round_up(calls) for calls in range(1, self.count + 1))
        lanes = [Lane(index=i, share=share) for share in shares for i in range(self.count)]
        return list(dict.fromkeys([ALONE, *lanes]))

    @contextmanager
    def take(self) -> Iterator[Lane]:
        """Yield a lane for one call; waiting calls are served first come, first served."""
        with self._changed:
            self._wait_for_turn()
            # While others run, take the lane with the longest pause: only if even that one had none
            # are all lanes saturated. With no call running, the first free lane will do.
            index = min(self._free, key=self._ended_s.__getitem__ if self._began_s else None)
            self._free.remove(index)
            began_s = self._began_s[index] = self._clock()
            pause_s = began_s - self._ended_s[index]
            is_busy = pause_s < BUSY_GAP * self._lasted_s[index]
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
        """Wait until no call runs, and block new ones; for one thread at a time."""
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
