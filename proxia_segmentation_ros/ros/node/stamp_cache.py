"""A cache of recent messages by stamp, to find the ones that belong to an image."""

import threading
import time
from collections import OrderedDict
from typing import Generic, TypeVar

Item = TypeVar("Item")
Stamp = tuple[int, int]

CAPACITY = 16


def find_difference_ns(stamp: Stamp, other: Stamp) -> int:
    """Return how much later the first stamp is, in nanoseconds."""
    return (stamp[0] - other[0]) * 10**9 + stamp[1] - other[1]


class StampCache(Generic[Item]):
    """The newest `capacity` items by stamp (seconds, nanoseconds); thread-safe."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._changed = threading.Condition()
        self._items: OrderedDict[Stamp, Item] = OrderedDict()
        self._put_s: float | None = None

    def put(self, stamp: Stamp, item: Item) -> None:
        """Add an item; the oldest one is evicted when the cache is full."""
        with self._changed:
            # Time jumped back, for example because a bag was restarted. Old items would be matched
            # with new images.
            if self._items and stamp < next(reversed(self._items)):
                self._items.clear()
            self._items[stamp] = item
            self._put_s = time.monotonic()
            while len(self._items) > self._capacity:
                self._items.popitem(last=False)
            self._changed.notify_all()

    def find(self, stamp: Stamp, tolerance_ns: int = 0, wait_s: float = 0.0) -> Item | None:
        """Return the item whose stamp is nearest, None if that differs by more than the tolerance.

        Up to `wait_s` seconds are waited for an item that is not older than `stamp`: a nearer one
        than those that are there may be on its way.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._has_reached(stamp), wait_s)
            nearest = self._find_nearest(stamp)
            if nearest is None or abs(find_difference_ns(nearest, stamp)) > tolerance_ns:
                return None
            return self._items[nearest]

    def find_lag_ns(self, stamp: Stamp) -> int | None:
        """Return how much later the nearest item is, in nanoseconds; None if there is no item."""
        with self._changed:
            nearest = self._find_nearest(stamp)
            return None if nearest is None else find_difference_ns(nearest, stamp)

    def newest(self) -> Item | None:
        """Return the item that was added last, or None."""
        with self._changed:
            return next(reversed(self._items.values())) if self._items else None

    def silence_s(self) -> float | None:
        """Return the seconds since an item was added last; None if there was none."""
        with self._changed:
            return None if self._put_s is None else time.monotonic() - self._put_s

    def _has_reached(self, stamp: Stamp) -> bool:
        return bool(self._items) and next(reversed(self._items)) >= stamp

    def _find_nearest(self, stamp: Stamp) -> Stamp | None:
        return min(self._items, key=lambda kept: abs(find_difference_ns(kept, stamp)), default=None)
