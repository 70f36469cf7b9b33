"""Say when waiting has lasted long enough to try another way."""

from collections.abc import Callable

LONGEST_S = 60.0


class Backoff:
    """Backoff for `first_s`, then for twice as long after each time it was over."""

    def __init__(self, first_s: float, monotonic: Callable[[], float]) -> None:
        self._first_s = first_s
        self._monotonic = monotonic
        self.restart()

    def restart(self) -> None:
        """Begin anew: what was waited for came."""
        self._length_s = self._first_s
        self._began_at_s = self._monotonic()

    def has_elapsed(self) -> bool:
        """Return True once for each wait that ended; the next, longer one begins then."""
        now_s = self._monotonic()
        if now_s - self._began_at_s < self._length_s:
            return False
        self._began_at_s = now_s
        self._length_s = min(2 * self._length_s, LONGEST_S)
        return True
