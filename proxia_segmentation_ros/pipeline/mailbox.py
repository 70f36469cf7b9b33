"""One slot per camera: the newest frame replaces the one that waits."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PendingFrame:
    """A frame that waits for a worker; `received_s` is of a monotonic clock."""

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
        # A slot that fell behind starts a new beat instead of catching up in a burst.
        on_beat_s = self.due_s + period_s
        self.due_s = on_beat_s if on_beat_s > now_s else now_s + period_s
        return frames


class Mailbox:
    """Hold at most one frame for each camera and hand them out in turn.

    Not locked: the pipeline guards it with its own lock.
    """

    def __init__(self, cameras: Iterable[str]) -> None:
        self._slots = {camera: _Slot() for camera in cameras}
        self._turns = list(self._slots)

    def put(self, frame: PendingFrame) -> PendingFrame | None:
        """Store a frame and return the one that it replaced."""
        slot = self._slots[frame.camera]
        replaced, slot.frame = slot.frame, frame
        return replaced

    def take_due(
        self, now_s: float, period_s: float, most: int = 1, busy: Collection[str] = ()
    ) -> list[PendingFrame]:
        """Return up to `most` frames that are due, one for each camera whose turn it is.

        They come in the cameras' order, whoever's turn was first. The same camera's next frame
        waits `period_s`, and as long as it is `busy`.
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
        """Tell whether the camera's frame waits for its period and not for a worker."""
        return self._slots[camera].due_s > now_s

    def next_due_s(self, busy: Collection[str] = ()) -> float | None:
        """Return when a waiting frame of another camera becomes due, None when none waits."""
        waiting = [
            slot.due_s
            for name, slot in self._slots.items()
            if slot.frame is not None and name not in busy
        ]
        return min(waiting, default=None)

    def release(self) -> None:
        """Forget the periods, as when the rate limit changes."""
        for slot in self._slots.values():
            slot.due_s = float("-inf")

    def clear(self) -> list[PendingFrame]:
        """Empty every slot and return what was in them."""
        frames = [slot.frame for slot in self._slots.values() if slot.frame is not None]
        for slot in self._slots.values():
            slot.frame = None
        return frames
