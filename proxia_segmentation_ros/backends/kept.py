"""Keeps what was compiled for recent sizes, bounded by its memory and not only by its number.

Sizes come from outside: a publisher that sends images of ever new sizes must not fill the memory.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """The most recently used values whose bytes, as estimated by the caller, fit; thread-safe.

    The newest value is kept whatever it takes. Callers must not hold on to values between frames.
    """

    def __init__(self, max_bytes: int, max_count: int) -> None:
        self._max_bytes = max_bytes
        self._max_count = max_count
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """Return the value, which becomes the most recent one, or None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def make_room(self, cost: int) -> None:
        """Drop the least recent values until one of this many bytes fits; call before making it."""
        with self._lock:
            while self._entries and not self._fits(cost):
                self._entries.popitem(last=False)

    def put(self, key: Key, value: Value, cost: int) -> None:
        """Add a value of about `cost` bytes, after making room for it."""
        self.make_room(cost)
        with self._lock:
            self._entries[key] = value, cost

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._entries.clear()

    def _fits(self, cost: int) -> bool:
        used = sum(kept for _, kept in self._entries.values())
        return used + cost <= self._max_bytes and len(self._entries) < self._max_count
