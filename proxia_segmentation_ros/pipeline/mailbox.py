"""One slot per camera: a new frame replaces the one that is still waiting."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PendingFrame:
    """A frame that waits for a worker; `received_s` is in seconds of a monotonic clock."""

    camera: str
    payload: Any
    received_s: float


@dataclass
class _Slot:
    frame: PendingFrame | None = None
    due_s: float = float("-inf")

    def is_due(self, now_s: float) -> bool:
        return self.frame is not None and self.due_s <= now_s

    def empty(self, now_s: float, period_s: float) -> list[PendingFrame]:
        frames = [] if self.frame is None else [self.frame]
        self.frame = None
        # A slot that is late restarts its period from now. Adding periods to the old due time
        # would release several frames in a burst.
        next_due_s = self.due_s + period_s
        self.due_s = next_due_s if next_due_s > now_s else now_s + period_s
        return frames


class Mailbox:
    """Hold at most one frame per camera and hand them out round-robin.

    Not thread-safe: `FrameWorkers` calls it with its own lock held.
    """

    def __init__(self, cameras: Iterable[str]) -> None:
        self._slots = {camera: _Slot() for camera in cameras}
        self._turns = list(self._slots)

    def put(self, frame: PendingFrame) -> PendingFrame | None:
        """Store a frame and return the one that it replaced, if any."""
        slot = self._slots[frame.camera]
        replaced, slot.frame = slot.frame, frame
        return replaced

    def take_due(
        self, now_s: float, period_s: float, most: int = 1, busy: Collection[str] = ()
    ) -> list[PendingFrame]:
        """Return up to `most` frames that are due, at most one per camera.

        The cameras that were served longest ago are chosen; their frames are returned in the
        order of the cameras. The next frame of a camera waits at least `period_s`. Cameras in
        `busy` are skipped.
        """
        waiting = [
            name for name in self._turns if name not in busy and self._slots[name].is_due(now_s)
        ]
        chosen = waiting[:most]
        self._turns = [name for name in self._turns if name not in chosen] + chosen
        return [
            frame
            for name, slot in self._slots.items()
            if name in chosen
            for frame in slot.empty(now_s, period_s)
        ]

    def is_held(self, camera: str, now_s: float) -> bool:
        """Tell whether the rate limit, not a missing worker, makes the camera's frame wait."""
        return self._slots[camera].due_s > now_s

    def next_due_s(self, busy: Collection[str] = ()) -> float | None:
        """Return when the next frame of a camera not in `busy` is due; None if none waits."""
        waiting = [
            slot.due_s
            for name, slot in self._slots.items()
            if slot.frame is not None and name not in busy
        ]
        return min(waiting, default=None)

    def release(self) -> None:
        """Make all slots due at once; called when the rate limit changes."""
        for slot in self._slots.values():
            slot.due_s = float("-inf")

    def clear(self) -> list[PendingFrame]:
        """Empty every slot and return the frames."""
        frames = [slot.frame for slot in self._slots.values() if slot.frame is not None]
        for slot in self._slots.values():
            slot.frame = None
        return frames
