"""Measure how long each stage of a frame takes."""

import time
from collections.abc import Callable


class StageClock:
    """Times of one frame by stage; each mark ends the stage that it names."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._marked_s = clock()
        self._stages_ms: dict[str, float] = {}

    def mark(self, stage: str) -> None:
        """Add the time since the last mark to this stage."""
        now_s = self._clock()
        self.add(stage, 1e3 * (now_s - self._marked_s))
        self._marked_s = now_s

    def add(self, stage: str, spent_ms: float) -> None:
        """Add a time measured elsewhere to this stage."""
        self._stages_ms[stage] = self._stages_ms.get(stage, 0.0) + spent_ms

    def skip(self) -> None:
        """Attribute the time since the last mark to no stage."""
        self._marked_s = self._clock()

    @property
    def stages_ms(self) -> dict[str, float]:
        """Milliseconds by stage, in the order of the marks."""
        return dict(self._stages_ms)
