"""Find the message that belongs to an image, by stamp."""

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

Item = TypeVar("Item")
Stamp = tuple[int, int]

CAPACITY = 16


class StampCache(Generic[Item]):
    """The newest items by their stamp (seconds, nanoseconds); safe to use from several threads."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._items: OrderedDict[Stamp, Item] = OrderedDict()

    def put(self, stamp: Stamp, item: Item) -> None:
        """Keep an item, drop the one that came in first when full."""
        with self._lock:
            # Time jumped back, as when a bag starts over: older items would pair with new images.
            if self._items and stamp < next(reversed(self._items)):
                self._items.clear()
            self._items[stamp] = item
            while len(self._items) > self._capacity:
                self._items.popitem(last=False)

    def find(self, stamp: Stamp) -> Item | None:
        """Return the item with exactly this stamp."""
        with self._lock:
            return self._items.get(stamp)

    def newest(self) -> Item | None:
        """Return the item that came in last."""
        with self._lock:
            return next(reversed(self._items.values())) if self._items else None
