"""One call of `process_frames`: which of its frames still lack an outcome, and for how long.

A call that hangs in native code can't be interrupted. The watchdog abandons it instead: its frames
get their outcome at once, and whatever the call returns later is thrown away.
"""

import threading
from collections.abc import Iterable
from typing import Literal, Protocol

from proxia_segmentation_ros.pipeline.timing import FrameLedger, Outcome

Stage = Literal["decode", "segment", "publish", "objects"]


class _Counted(Protocol):
    """What an attempt needs from a stream."""

    ledger: FrameLedger

    @property
    def camera(self) -> str: ...


class Attempt:
    """Counts each frame of one call exactly once, whoever comes first; thread-safe.

    `stage` is the current step and `age_s` the time in which the process ran since the call began;
    the watchdog adds to it, so a suspended process ages nothing.
    """

    def __init__(self, streams: Iterable[_Counted]) -> None:
        self._lock = threading.Lock()
        self._open = {stream.camera: stream for stream in streams}
        self._is_abandoned = False
        self.cameras = tuple(self._open)
        self.stage: Stage = "decode"
        self.age_s = 0.0

    @property
    def is_abandoned(self) -> bool:
        """Tell whether the results of this call are to be thrown away."""
        return self._is_abandoned

    def finish(self, camera: str, outcome: Outcome) -> bool:
        """Count the outcome of a frame; return False if it had one already."""
        with self._lock:
            stream = self._open.pop(camera, None)
            if stream is None:
                return False
            stream.ledger.finish(outcome)
            return True

    def abandon(self, outcome: Outcome) -> None:
        """Give every frame without an outcome this one, and throw away what comes later."""
        with self._lock:
            self._is_abandoned = True
            for stream in self._open.values():
                stream.ledger.finish(outcome)
            self._open.clear()
