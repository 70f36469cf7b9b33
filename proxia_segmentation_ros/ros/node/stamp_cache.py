"""A cache of recent messages by stamp, to find the ones that belong to an image."""

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

Item = TypeVar("Item")
Stamp = tuple[int, int]

CAPACITY = 16


class StampCache(Generic[Item]):
    """The newest `capacity` items by stamp (seconds, nanoseconds); thread-safe."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._items: OrderedDict[Stamp, Item] = OrderedDict()

    def put(self, stamp: Stamp, item: Item) -> None:
        """Add an item; the oldest one is evicted when the cache is full."""
        with self._lock:
            # Time jumped back, for example because a bag was restarted. Old items would be matched
            # with new images.
            if self._items and stamp < next(reversed(self._items)):
                self._items.clear()
            self._items[stamp] = item
            while len(self._items) > self._capacity:
                self._items.popitem(last=False)

    def find(self, stamp: Stamp) -> Item | None:
        """Return the item with exactly this stamp, or None."""
        with self._lock:
            return self._items.get(stamp)

    def newest(self) -> Item | None:
        """Return the item that was added last, or None."""
        with self._lock:
            return next(reversed(self._items.values())) if self._items else None
