"""How much of a frame's work fits a latency budget, learnt from the frames before.

Levels are bounds of work, ascending. Work is known before a frame and its time after it; what
a unit of work took at worst lately, but for one frame in twenty, is what it is expected to take
next. So two slow frames suffice to go down, as far as needed, and going up has to wait.
"""

from collections import deque
from collections.abc import Sequence

# One frame in so many may be late: p95. Stepping up looks back further than stepping down.
WINDOW_FRAMES = 20
LONG_WINDOW_FRAMES = 60
# A level is left when its time comes this near the budget, and taken with more room than that.
LEAVE_ABOVE = 0.95
TAKE_BELOW = 0.85
# Frames to wait before the next step up: at first, after a step that was too high, at most.
FIRST_WAIT_FRAMES = 4
MIN_WAIT_FRAMES = 20
MAX_WAIT_FRAMES = 640
# A step up that is undone within so many frames was too high.
TRIAL_FRAMES = 40
# What a frame takes besides its passes, in units of work; it only shapes guesses.
FIXED_WORK = 0.1


class LatencyBudget:
    """Chooses the level of each frame; frames of all cameras count alike."""

    def __init__(self, budget_ms: float, works: Sequence[float]) -> None:
        """`works` are the levels' bounds, ascending, in passes of scale 1.0."""
        self.budget_ms = budget_ms
        self._works = tuple(works)
        self._rates = deque[float](maxlen=LONG_WINDOW_FRAMES)
        self._level = 0
        self._wait_frames = FIRST_WAIT_FRAMES
        self._frames_at_level = 0
        # Since the last step up, while it may still prove too high.
        self._trial_frames: int | None = None

    @property
    def level(self) -> int:
        """The level for the next frame."""
        return self._level

    @property
    def is_too_small(self) -> bool:
        """Whether even the lowest level takes longer."""
        return self._level == 0 and len(self._rates) > 1 and self._predict(0) > self.budget_ms

    def report(self, work: float, elapsed_ms: float) -> None:
        """Take what a frame's work was, at most its level's, and how long it took in all."""
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
        """Return the time that the level stays within in 19 of 20 frames."""
        late = max(1, window // WINDOW_FRAMES)
        rates = sorted(list(self._rates)[-window:])
        # Of few frames the second worst.
        return rates[max(-1 - late, -len(rates))] * (self._works[level] + FIXED_WORK)
