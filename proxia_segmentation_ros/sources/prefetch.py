"""Produce items in a thread ahead of time, so that the consumer does not wait for them."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _End:
    """The last entry of the queue, with the error that ended the thread, if any."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Prefetcher(Generic[Item]):
    """Iterate `items` in a thread, at most `max_bytes` (and at least two items) ahead.

    Live items are not produced before the first one is requested, because they would be outdated.
    An error in the thread is raised in the consumer, in place of the next item.
    """

    def __init__(
        self,
        items: Iterable[Item],
        *,
        count_bytes: Callable[[Item], int],
        max_bytes: int,
        is_live: bool = False,
    ) -> None:
        self._items = items
        self._count_bytes = count_bytes
        self._max_bytes = max_bytes
        self._queue: queue.SimpleQueue[Item | _End] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._held_bytes = 0
        self._held_items = 0
        self._closed = False
        self._is_full = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="prefetch", daemon=True)
        if not is_live:
            self._thread.start()

    @property
    def queued(self) -> int:
        """Number of items in the queue."""
        with self._room:
            return self._held_items

    @property
    def is_producing(self) -> bool:
        """Whether more items will come than those in the queue."""
        return self._thread.is_alive() or self._thread.ident is None

    def wait_until_full(self, timeout_s: float) -> bool:
        """Wait until the queue is full or all items are produced."""
        return self._is_full.wait(timeout_s)

    def stop_producing(self) -> None:
        """Produce no more items; those in the queue can still be taken."""
        with self._room:
            self._closed = True
            self._room.notify_all()

    def close(self) -> None:
        """Stop producing and wait for the thread to end."""
        self.stop_producing()
        if self._thread.ident is not None:
            self._thread.join(timeout=5.0)

    def __iter__(self) -> Iterator[Item]:
        if self._thread.ident is None:
            self._thread.start()
        while True:
            item = self._queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            with self._room:
                self._held_bytes -= self._count_bytes(item)
                self._held_items -= 1
                self._room.notify_all()
            yield item

    def _fill(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except Exception as caught:  # noqa: BLE001  raised in the consumer
            error = caught
        finally:
            self._is_full.set()
            self._queue.put(_End(error))

    def _put(self, item: Item) -> bool:
        size = self._count_bytes(item)
        with self._room:
            while self._held_items >= 2 and self._held_bytes + size > self._max_bytes:
                self._is_full.set()
                if self._closed:
                    return False
                self._room.wait()
            self._held_bytes += size
            self._held_items += 1
        self._queue.put(item)
        return not self._closed
