"""Watches the calls that process frames and abandons those that overrun the frame deadline."""

import threading
import time
from collections.abc import Callable
from functools import partial

from proxia_segmentation_ros.pipeline.attempt import Attempt
from proxia_segmentation_ros.pipeline.workers import FrameWorkers

PERIOD_S = 0.1
# Frames of a new model or size may compile first.
FIRST_FRAMES = 3
FIRST_DEADLINE_S = 10.0
# A slow machine or a large network is no hang: the deadline is at least this many times the longest
# of the last calls, but no longer than this.
TIMES_THE_SLOWEST = 4.0
LONGEST_DEADLINE_S = 30.0


class Watchdog:
    """A thread that calls `on_overdue(attempt)` for each call that it abandons.

    No frame starts before `on_overdue` returns, so it can keep the next one off the model.

    `find_deadline_s` returns the longest time for a frame; 0 turns the watchdog off. The first
    frames after activation have `FIRST_DEADLINE_S`, and where frames are slow as a rule the
    deadline grows with them, up to `LONGEST_DEADLINE_S`. Only time in which this process ran
    counts: one that was suspended has not hung.
    """

    def __init__(
        self,
        workers: FrameWorkers,
        find_deadline_s: Callable[[], float],
        on_overdue: Callable[[Attempt], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        start: bool = True,
    ) -> None:
        self._workers = workers
        self._find_deadline_s = find_deadline_s
        self._on_overdue = on_overdue
        self._clock = clock
        self._seen_s = clock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        if start:
            self._thread.start()

    def look(self) -> None:
        """Let running calls age and abandon those that are overdue; called once a period."""
        now_s = self._clock()
        elapsed_s, self._seen_s = min(now_s - self._seen_s, 2 * PERIOD_S), now_s
        deadline_s = self._find_deadline_s()
        running = self._workers.advance(elapsed_s)
        if deadline_s <= 0:
            return
        needed_s = TIMES_THE_SLOWEST * self._workers.slowest_s
        if self._workers.processed < FIRST_FRAMES:
            needed_s = FIRST_DEADLINE_S
        deadline_s = max(deadline_s, min(needed_s, LONGEST_DEADLINE_S))
        for attempt in running:
            if attempt.age_s > deadline_s:
                self._workers.abandon(attempt, partial(self._on_overdue, attempt))

    def close(self) -> None:
        """Stop to watch."""
        self._closing.set()

    def _watch(self) -> None:
        while not self._closing.wait(PERIOD_S):
            self.look()
