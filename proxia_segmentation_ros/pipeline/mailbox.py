"""One slot per camera: the newest frame replaces the one that waits."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One waiting frame; `received_s` is of a monotonic clock."""

    camera: str
    payload: Any
    received_s: float


@dataclass
class _Slot:
    letter: Letter | None = None
    due_s: float = float("-inf")

    def is_due(self, now_s: float) -> bool:
        return self.letter is not None and self.due_s <= now_s

    def empty(self, now_s: float, period_s: float) -> list[Letter]:
        letters = [] if self.letter is None else [self.letter]
        self.letter = None
        # A slot that fell behind starts a new beat instead of catching up in a burst.
        on_beat_s = self.due_s + period_s
        self.due_s = on_beat_s if on_beat_s > now_s else now_s + period_s
        return letters


class Mailbox:
    """Hold at most one letter for each camera and hand them out in turn.

    Not locked: the pipeline guards it with its own lock.
    """

    def __init__(self, cameras: Iterable[str]) -> None:
        self._slots = {camera: _Slot() for camera in cameras}
        self._turns = list(self._slots)

    def put(self, letter: Letter) -> Letter | None:
        """Store a letter and return the one that it replaced."""
        slot = self._slots[letter.camera]
        replaced, slot.letter = slot.letter, letter
        return replaced

    def take_due(
        self, now_s: float, period_s: float, most: int = 1, busy: Collection[str] = ()
    ) -> list[Letter]:
        """Return up to `most` letters that are due, one for each camera whose turn it is.

        They come in the cameras' order, whoever's turn was first. The same camera's next letter
        waits `period_s`, and as long as it is `busy`.
        """
        waiting = [
            name for name in self._turns if name not in busy and self._slots[name].is_due(now_s)
        ]
        chosen = waiting[:most]
        self._turns = [name for name in self._turns if name not in chosen] + chosen
        return [
            letter
            for name, slot in self._slots.items()
            if name in chosen
            for letter in slot.empty(now_s, period_s)
        ]

    def is_held(self, camera: str, now_s: float) -> bool:
        """Tell whether the camera's letter waits for its period and not for a worker."""
        return self._slots[camera].due_s > now_s

    def next_due_s(self, busy: Collection[str] = ()) -> float | None:
        """Return when a waiting letter of another camera becomes due, None when none waits."""
        waiting = [
            slot.due_s
            for name, slot in self._slots.items()
            if slot.letter is not None and name not in busy
        ]
        return min(waiting, default=None)

    def release(self) -> None:
        """Forget the periods, as when the rate limit changes."""
        for slot in self._slots.values():
            slot.due_s = float("-inf")

    def clear(self) -> list[Letter]:
        """Empty every slot and return what was in them."""
        letters = [slot.letter for slot in self._slots.values() if slot.letter is not None]
        for slot in self._slots.values():
            slot.letter = None
        return letters
