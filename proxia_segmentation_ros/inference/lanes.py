"""Lends each of several calls at a time a lane of its own, and a share of the processor."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from proxia_segmentation_ros.inference.frame_plan import Lane


class Lanes:
    """As many calls run at a time as there are lanes; further ones wait.

    A call makes room for as many others as run beside it now, or did beside the call that ended
    last: cameras that fire together share the threads from the start, and one whose neighbour
    has died gets them all back with its second frame.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shares: Sequence[int] = (1,)
        self._free = [0]
        self._peaks: dict[int, int] = {}
        self._last_peak = 1

    @property
    def count(self) -> int:
        """Calls that may run at a time."""
        return len(self._free) + len(self._peaks)

    def open(self, count: int, shares: Sequence[int]) -> None:
        """Have `count` lanes, which take one of these shares, ascending; waits for calls to end."""
        with self._changed:
            self._changed.wait_for(lambda: not self._peaks)
            self._free = list(range(count))
            self._shares = tuple(shares)
            self._last_peak = 1
            self._changed.notify_all()

    def list_all(self) -> list[Lane]:
        """Return the lanes that calls may get."""
        shares = dict.fromkeys(self._round_up(calls) for calls in range(1, self.count + 1))
        # Whoever gets a further lane finds the ones before it busy.
        return [
            Lane(index=index, share=share)
            for share in shares
            for index in range(min(self.count, share))
        ]

    @contextmanager
    def take(self) -> Iterator[Lane]:
        """Lend a lane for one call."""
        with self._changed:
            self._changed.wait_for(lambda: self._free)
            index = min(self._free)
            self._free.remove(index)
            running = len(self._peaks) + 1
            self._peaks[index] = running
            self._peaks = {one: max(peak, running) for one, peak in self._peaks.items()}
            lane = Lane(index=index, share=self._round_up(max(running, self._last_peak)))
        try:
            yield lane
        finally:
            with self._changed:
                self._last_peak = self._peaks.pop(index)
                self._free.append(index)
                self._changed.notify_all()

    @contextmanager
    def take_all(self) -> Iterator[None]:
        """Wait until no call runs, and let none begin."""
        with self._changed:
            self._changed.wait_for(lambda: not self._peaks)
            yield

    def _round_up(self, calls: int) -> int:
        return next((one for one in self._shares if one >= calls), self._shares[-1])
