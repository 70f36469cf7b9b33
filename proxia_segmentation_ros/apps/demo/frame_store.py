"""Keep the frames that were played, for the pictures afterwards."""

from collections.abc import Iterable, Iterator

from proxia_segmentation_ros.sources.frame_sources import SourceFrame
from proxia_segmentation_ros.sources.frame_stream import count_bytes, decode_rgb, encode_jpeg

PLAIN_BYTES = 512 * 2**20


class FrameStore:
    """Frames in the order of playing; once they take too much memory, the next become JPEG."""

    def __init__(self, plain_bytes: int = PLAIN_BYTES) -> None:
        self.frames: list[SourceFrame] = []
        self._room_bytes = plain_bytes

    @property
    def count(self) -> int:
        """How many frames are kept so far."""
        return len(self.frames)

    def keep_all(self, frames: Iterable[SourceFrame]) -> Iterator[SourceFrame]:
        """Hand the frames on and keep each."""
        for one in frames:
            kept = one
            if not one.frame.is_compressed and self._room_bytes < count_bytes(one):
                kept = SourceFrame(encode_jpeg(decode_rgb(one.frame)), one.truth_HW)
            self._room_bytes -= count_bytes(kept)
            self.frames.append(kept)
            yield one
