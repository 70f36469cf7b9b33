"""Whether a whole scale is worth its time, from the share it had in recent results."""

from collections.abc import Sequence
from itertools import takewhile

# A scale with less of the result than DROP is left out, and comes back above KEEP.
DROP_BELOW = 0.02
KEEP_ABOVE = 0.04
# Frames over which a share is averaged, and after which a dropped scale is looked at again.
MEMORY_FRAMES = 15
RECHECK_FRAMES = 30


class ScaleGate:
    """Shares of the scales of one camera; one scale at least always stays.

    The share of a larger scale, with all that is larger still, is known without running it, from
    the attention of those below; it is left out together with these.
    That of the smallest is not: once dropped, it runs every RECHECK_FRAMES to be seen again.
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
        """Take the shares of one frame, of the scales of which they are known."""
        smallest = self._scales[0]
        if smallest in shares:
            if self._frames_without_smallest:
                # What it was averaged over is long ago.
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
        return all(self._is_dropped[one] for one in self._scales if one != scale)
