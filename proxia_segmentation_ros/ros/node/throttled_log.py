"""ThrottledLog about frames: one log line per kind and period, the newest kept for diagnostics."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

LOG_PERIOD_S = 5.0
MAX_KINDS = 8
# A sentence may quote what a message holds, and a message may hold anything.
MAX_LENGTH = 500


@dataclass
class _Kind:
    logged_at_s: float
    unlogged: int = 0


class ThrottledLog:
    """Collect what is wrong with one camera; safe to use from several threads.

    Sentences that differ in their numbers alone are one kind. Beyond `MAX_KINDS` kinds in a
    period everything is one kind, so that no sender can flood the log.
    """

    def __init__(
        self, log: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[str, _Kind] = {}
        self._newest: tuple[float, str] | None = None
        self._count = 0

    def add(self, sentence: str) -> bool:
        """Count a complaint, log it unless its kind was just logged; True when it was logged."""
        now_s = self._clock()
        sentence = " ".join(sentence.split())[:MAX_LENGTH]
        with self._lock:
            self._count += 1
            self._newest = (now_s, sentence)
            repeated = self._count_kind(re.sub(r"\d+", "#", sentence), now_s)
        if repeated is None:
            return False
        self._log(f"{sentence} ({repeated} more of this kind before)" if repeated else sentence)
        return True

    @property
    def count(self) -> int:
        """ThrottledLog so far."""
        with self._lock:
            return self._count

    @property
    def recent(self) -> str | None:
        """The newest complaint while it is younger than the period."""
        with self._lock:
            if self._newest is None or self._clock() - self._newest[0] > LOG_PERIOD_S:
                return None
            return self._newest[1]

    @property
    def last(self) -> str | None:
        """The newest complaint, however old."""
        with self._lock:
            return None if self._newest is None else self._newest[1]

    def _count_kind(self, key: str, now_s: float) -> int | None:
        kind = self._kinds.get(key)
        if kind is None:
            self._kinds = {
                name: kind
                for name, kind in self._kinds.items()
                if now_s - kind.logged_at_s <= LOG_PERIOD_S or kind.unlogged
            }
            if len(self._kinds) < MAX_KINDS:
                self._kinds[key] = _Kind(logged_at_s=now_s)
                return 0
            kind = min(self._kinds.values(), key=lambda kind: kind.logged_at_s)
        if now_s - kind.logged_at_s <= LOG_PERIOD_S:
            kind.unlogged += 1
            return None
        repeated, kind.unlogged, kind.logged_at_s = kind.unlogged, 0, now_s
        return repeated
