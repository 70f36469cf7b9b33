"""Choose the amount of work for a frame so that it meets a latency budget.

Levels are upper bounds of work, ascending. The work of a frame is known before it runs, its time
afterwards. The time for a unit of work is predicted as the 95th percentile of recent frames. So two
slow frames are enough to step down, as far as needed, and stepping up waits; longer after each
step up that failed. A regression of time on work did not predict other levels well
(docs/decisions/005-attention-pruned-scales.md).
"""

from collections import deque
from collections.abc import Sequence

# One frame in 20 may be late (p95). Stepping up looks back further than stepping down.
WINDOW_FRAMES = 20
LONG_WINDOW_FRAMES = 60
# Step down above this share of the budget; step up only with more room (hysteresis).
LEAVE_ABOVE = 0.95
TAKE_BELOW = 0.85
# Frames to wait before the next step up: initially, after a failed step at least, at most.
FIRST_WAIT_FRAMES = 4
MIN_WAIT_FRAMES = 20
MAX_WAIT_FRAMES = 640
# A step up has failed if it is undone within so many frames.
TRIAL_FRAMES = 40
# Cost of a frame besides its passes, in units of work; only used for predictions.
FIXED_WORK = 0.1


class LatencyBudget:
    """Chooses the level of each frame, from the frames of all cameras."""

    def __init__(self, budget_ms: float, works: Sequence[float]) -> None:
        """`works` are the levels' bounds, ascending, in passes of scale 1.0."""
        self.budget_ms = budget_ms
        self._works = tuple(works)
        self._rates = deque[float](maxlen=LONG_WINDOW_FRAMES)
        self._level = 0
        self._wait_frames = FIRST_WAIT_FRAMES
        self._frames_at_level = 0
        # Frames since the last step up, while that may still fail.
        self._trial_frames: int | None = None

    @property
    def level(self) -> int:
        """The level for the next frame."""
        return self._level

    @property
    def is_too_small(self) -> bool:
        """Whether even the lowest level exceeds the budget."""
        return self._level == 0 and len(self._rates) > 1 and self._predict(0) > self.budget_ms

    def report(self, work: float, elapsed_ms: float) -> None:
        """Record a frame: its work, at most that of its level, and its total time."""
        self._rates.append(elapsed_ms / (work + FIXED_WORK))
        self._frames_at_level += 1
        self._count_trial()
        if len(self._rates) < 2:
            return
        if self._level > 0 and self._predict(self._level) > LEAVE_ABOVE * self.budget_ms:
            self._step_down()
        elif self._frames_at_level >= self._wait_frames:
            self._step_up()

    def _count_trial(self) -> None:
        if self._trial_frames is None:
            return
        self._trial_frames += 1
        if self._trial_frames > TRIAL_FRAMES:
            self._trial_frames = None
            if self._wait_frames > MIN_WAIT_FRAMES:
                self._wait_frames //= 2

    def _step_down(self) -> None:
        fitting = [
            level
            for level in range(self._level)
            if self._predict(level) <= LEAVE_ABOVE * self.budget_ms
        ]
        self._level = max(fitting, default=0)
        self._frames_at_level = 0
        if self._trial_frames is not None:
            self._wait_frames = min(2 * self._wait_frames, MAX_WAIT_FRAMES)
        self._wait_frames = max(self._wait_frames, MIN_WAIT_FRAMES)
        self._trial_frames = None

    def _step_up(self) -> None:
        above = self._level + 1
        if above == len(self._works):
            return
        if self._predict(above, LONG_WINDOW_FRAMES) <= TAKE_BELOW * self.budget_ms:
            self._level = above
            self._frames_at_level = 0
            self._trial_frames = 0

    def _predict(self, level: int, window: int = WINDOW_FRAMES) -> float:
        """Return the time in ms that 19 of 20 frames of the level stay below."""
        late = max(1, window // WINDOW_FRAMES)
        rates = sorted(list(self._rates)[-window:])
        # With few frames, the second slowest.
        return rates[max(-1 - late, -len(rates))] * (self._works[level] + FIXED_WORK)
