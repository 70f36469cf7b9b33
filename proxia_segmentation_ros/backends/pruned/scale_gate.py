"""Decide which scales to run, from their share in the results of recent frames."""

from collections.abc import Sequence
from itertools import takewhile

# A scale is dropped when its share falls below DROP, and returns above KEEP (hysteresis).
DROP_BELOW = 0.02
KEEP_ABOVE = 0.04
# Time constant of the moving average; interval after which a dropped smallest scale is rechecked.
MEMORY_FRAMES = 15
RECHECK_FRAMES = 30


class ScaleGate:
    """Moving averages of the shares of a camera's scales; at least one scale always runs.

    The share of a larger scale (including all still larger ones) is known without running it, from
    the attention of smaller scales; they are dropped together. That of the smallest scale is not:
    once dropped, it runs every RECHECK_FRAMES to measure it again.
    """

    def __init__(self, scales: Sequence[float]) -> None:
        self._scales = tuple(sorted(scales))
        self._shares = dict.fromkeys(self._scales, 1.0)
        self._is_dropped = dict.fromkeys(self._scales, False)
        self._frames_without_smallest = 0

    def choose(self) -> tuple[float, ...]:
        """Return the scales to run in the next frame, ascending."""
        smallest, *larger = self._scales
        kept = tuple(takewhile(lambda scale: not self._is_dropped[scale], larger))
        is_recheck = self._frames_without_smallest >= RECHECK_FRAMES
        if is_recheck or not kept or not self._is_dropped[smallest]:
            return (smallest, *kept)
        return kept

    def report(self, shares: dict[float, float]) -> None:
        """Record the known shares of a frame."""
        smallest = self._scales[0]
        if smallest in shares:
            if self._frames_without_smallest:
                # The old average is outdated.
                self._shares[smallest] = shares[smallest]
            self._frames_without_smallest = 0
        else:
            self._frames_without_smallest += 1
        for scale, share in shares.items():
            self._shares[scale] += (share - self._shares[scale]) / MEMORY_FRAMES
            if self._shares[scale] > KEEP_ABOVE:
                self._is_dropped[scale] = False
            elif self._shares[scale] < DROP_BELOW and not self._is_last(scale):
                self._is_dropped[scale] = True

    def _is_last(self, scale: float) -> bool:
        return all(self._is_dropped[other] for other in self._scales if other != scale)
