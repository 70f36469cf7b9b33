"""Exponential backoff: when to retry, with intervals that double."""

from collections.abc import Callable

LONGEST_S = 60.0


class Backoff:
    """Intervals of `first_s` seconds, doubled after each one up to `LONGEST_S`."""

    def __init__(self, first_s: float, monotonic: Callable[[], float]) -> None:
        self._first_s = first_s
        self._monotonic = monotonic
        self.restart()

    def restart(self) -> None:
        """Start again with the first interval, because an answer arrived."""
        self._length_s = self._first_s
        self._began_at_s = self._monotonic()

    def has_elapsed(self) -> bool:
        """Return True once per elapsed interval; this starts the next, longer one."""
        now_s = self._monotonic()
        if now_s - self._began_at_s < self._length_s:
            return False
        self._began_at_s = now_s
        self._length_s = min(2 * self._length_s, LONGEST_S)
        return True
