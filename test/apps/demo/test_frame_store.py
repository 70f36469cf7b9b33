"""Frames kept for the pictures of the demo."""

import itertools

from sample_files import draw_image

from proxia_segmentation_ros.apps.demo.frame_store import FrameStore
from proxia_segmentation_ros.sources.frame_sources import SourceFrame
from proxia_segmentation_ros.sources.frame_stream import (
    count_bytes,
    decode_rgb,
)
from proxia_segmentation_ros.wire.played_frame import PlayedFrame


def test_store_keeps_plain_frames_first_and_jpeg_when_there_is_no_room():
    one = SourceFrame(PlayedFrame.from_rgb(draw_image(100)), None)
    store = FrameStore(plain_bytes=2 * count_bytes(one))
    handed_on = list(store.keep_all(itertools.repeat(one, 4)))
    assert handed_on == [one] * 4
    assert [kept.frame.is_compressed for kept in store.frames] == [False, False, True, True]
    assert abs(int(decode_rgb(store.frames[3].frame)[0, 0, 0]) - 100) < 3
