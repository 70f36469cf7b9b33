"""Publish a source as a ROS camera until it ends."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxia_segmentation_ros.apps.defaults import (
    CAMERA_FRAME_ID,
    IMAGE_TOPIC,
    NODE_TO_WAIT_FOR,
    SOURCE,
)
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.sources.frame_sources import DEFAULT_SIZE_HW, SourceFrame, open_source
from proxia_segmentation_ros.sources.frame_stream import (
    FrameStream,
    StreamSettings,
    count_bytes,
    parse_transport,
)
from proxia_segmentation_ros.sources.prefetch import Prefetcher

if TYPE_CHECKING:
    from proxia_segmentation_ros.ros.client.player import PlayReport
    from proxia_segmentation_ros.wire.played_frame import PlayedFrame

PREFETCH_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class PlaySettings:
    """How to play; empty texts and None leave the choice to the source."""

    source: str = SOURCE
    image_topic: str = IMAGE_TOPIC
    transport: str = ""
    rate_hz: float | None = None
    size_hw: SizeHW | None = None
    max_frames: int = 0
    loop: bool = False
    frame_id: str = CAMERA_FRAME_ID
    bag_topic: str = ""
    wait_for: str = NODE_TO_WAIT_FOR
    reliable: bool = True
    use_sim_time: bool = False


def open_stream(settings: PlaySettings) -> FrameStream:
    """Open the source as the settings say.

    Raises:
        InputError: the source can't be played.
        ConfigError: the transport is unknown.
    """
    transport = parse_transport(settings.transport)
    source = open_source(
        settings.source,
        size_hw=settings.size_hw or DEFAULT_SIZE_HW,
        bag_topic=settings.bag_topic or None,
    )
    is_drawn_to_size = bool(source.label_set_name)
    stream_settings = StreamSettings(
        transport=transport,
        rate_hz=settings.rate_hz,
        size_hw=None if is_drawn_to_size else settings.size_hw,
        max_frames=settings.max_frames,
        loop=settings.loop,
    )
    return FrameStream(source, stream_settings)


def play_source(settings: PlaySettings, say: Callable[[str], None]) -> "PlayReport":
    """Wait for the node, then publish the source until it ends or Ctrl-C is pressed.

    Raises:
        InputError: the source can't be played.
        ProxiaError: the node failed to configure.
    """
    stream = open_stream(settings)
    frames = Prefetcher(
        stream,
        count_bytes=count_bytes,
        max_bytes=1 if stream.is_live else PREFETCH_BYTES,
        is_live=stream.is_live,
    )
    try:
        return replace(_publish(stream, frames, settings, say), skipped=stream.skipped)
    finally:
        frames.close()


def _publish(
    stream: FrameStream,
    frames: Prefetcher[SourceFrame],
    settings: PlaySettings,
    say: Callable[[str], None],
) -> "PlayReport":
    from proxia_segmentation_ros.ros.client.player import CameraPlayer, PlayReport
    from proxia_segmentation_ros.ros.client.session import RosSession
    from proxia_segmentation_ros.ros.environment import prepare_environment

    prepare_environment(os.environ)
    counted = _CountedFrames(frames)
    with RosSession("proxia_player", use_sim_time=settings.use_sim_time) as session:
        player = CameraPlayer(
            session,
            counted,
            rate_hz=stream.rate_hz,
            topic=settings.image_topic,
            transport=stream.transport,
            frame_id=settings.frame_id,
            node_name_to_wait=settings.wait_for,
            reliable=settings.reliable,
        )
        say(f"waiting for {settings.wait_for or 'a subscriber'} to take {player.image_topic}")
        try:
            player.wait_until_ready()
            pace = f"{stream.rate_hz:g} Hz" if stream.rate_hz > 0 else "the camera's rate"
            say(f"playing {settings.source} at {pace}")
            return player.play()
        except KeyboardInterrupt:
            return PlayReport(published=counted.count, late=0)


class _CountedFrames:
    """The frames of a source without their ground truth, and a count of them."""

    def __init__(self, frames: Iterable[SourceFrame]) -> None:
        self._frames = frames
        self.count = 0

    def __iter__(self) -> "Iterator[PlayedFrame]":
        for source_frame in self._frames:
            self.count += 1
            yield source_frame.frame
