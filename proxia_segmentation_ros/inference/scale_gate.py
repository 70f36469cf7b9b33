"""Whether a whole scale is worth its time, from the share it had in recent results."""

from collections.abc import Sequence

# A scale with less of the result than DROP is left out, and comes back above KEEP.
DROP_BELOW = 0.02
KEEP_ABOVE = 0.04
# Frames over which a share is averaged, and after which a dropped scale is looked at again.
MEMORY_FRAMES = 15
RECHECK_FRAMES = 30


class ScaleGate:
    """Shares of the scales of one camera; one scale at least always stays.

    The share of a larger scale is known without running it, from the attention of those below.
    That of the smallest is not: once dropped, it runs every RECHECK_FRAMES to be seen again.
    """

    def __init__(self, scales: Sequence[float]) -> None:
        self._scales = tuple(sorted(scales))
        self._shares = dict.fromkeys(self._scales, 1.0)
        self._is_dropped = dict.fromkeys(self._scales, False)
        self._frames_without_smallest = 0

    def choose(self) -> tuple[float, ...]:
        """Return the scales to run in the next frame, ascending."""
        is_recheck = self._frames_without_smallest >= RECHECK_FRAMES
        return tuple(
            scale
            for scale in self._scales
            if not self._is_dropped[scale] or (scale == self._scales[0] and is_recheck)
        )

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
