"""A store of the played frames, from which the demo draws its pictures."""

from collections.abc import Iterable, Iterator

from proxia_segmentation_ros.sources.frame_sources import SourceFrame
from proxia_segmentation_ros.sources.frame_stream import count_bytes, decode_rgb, encode_jpeg

PLAIN_BYTES = 512 * 2**20


class FrameStore:
    """Frames in playing order; beyond `plain_bytes` of raw frames, further ones become JPEG."""

    def __init__(self, plain_bytes: int = PLAIN_BYTES) -> None:
        self.frames: list[SourceFrame] = []
        self._free_bytes = plain_bytes

    @property
    def count(self) -> int:
        """Number of frames stored so far."""
        return len(self.frames)

    def keep_all(self, frames: Iterable[SourceFrame]) -> Iterator[SourceFrame]:
        """Yield the frames unchanged and store each."""
        for source_frame in frames:
            stored = source_frame
            is_raw = not source_frame.frame.is_compressed
            if is_raw and self._free_bytes < count_bytes(source_frame):
                jpeg = encode_jpeg(decode_rgb(source_frame.frame))
                stored = SourceFrame(jpeg, source_frame.truth_HW)
            self._free_bytes -= count_bytes(stored)
            self.frames.append(stored)
            yield source_frame
