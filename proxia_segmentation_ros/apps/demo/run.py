"""The demo: play a source to a real node over DDS and record what a subscriber receives."""

import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from proxia_segmentation_ros.apps.defaults import DEMO_OUT, DEMO_SECONDS, SOURCE
from proxia_segmentation_ros.apps.demo.frame_store import FrameStore
from proxia_segmentation_ros.apps.demo.record import DemoRecord, match_frames, summarize_demo
from proxia_segmentation_ros.apps.segment.truth import choose_label_set
from proxia_segmentation_ros.config import SizeHW
from proxia_segmentation_ros.errors import ProxiaError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.card_file import read_card
from proxia_segmentation_ros.progress import Progress
from proxia_segmentation_ros.ros.client.domain import isolate_environment
from proxia_segmentation_ros.ros.client.node_arguments import NodeLaunch, make_ros_arguments
from proxia_segmentation_ros.ros.client.node_process import NODE_MODULE, NodeProcess
from proxia_segmentation_ros.sources.frame_sources import (
    DEFAULT_SIZE_HW,
    Source,
    SourceFrame,
    open_source,
)
from proxia_segmentation_ros.sources.frame_stream import (
    FrameStream,
    StreamSettings,
    TruthFolder,
    count_bytes,
)
from proxia_segmentation_ros.sources.prefetch import Prefetcher

if TYPE_CHECKING:
    from proxia_segmentation_ros.ros.client.listener import ReceivedStats, StreamListener
    from proxia_segmentation_ros.ros.client.player import CameraPlayer, PublishedFrame
    from proxia_segmentation_ros.wire.played_frame import PlayedFrame

NODE_NAME = "proxia_demo"
IMAGE_TOPIC = "demo_camera/image_raw"
# Compiling can take long on a busy machine; a late demo is better than none.
READY_TIMEOUT_S = 120.0
LAST_LABELS_TIMEOUT_S = 3.0
LAST_STATS_TIMEOUT_S = 3.0
ALIVE_PERIOD_S = 0.1
PREPARE_TIMEOUT_S = 15.0
# The whole demo ends within 60 s; the rest of them is for drawing and writing.
STREAM_ENDS_BY_S = 46.0
SHORTEST_STREAM_S = 4.0
PREFETCH_BYTES = 256 * 2**20


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """Settings of a demo.

    `truth` is a folder of masks; `size_hw` None keeps the source's own size.
    """

    source: str = SOURCE
    out: Path = Path(DEMO_OUT)
    seconds: float = DEMO_SECONDS
    truth: Path | None = None
    size_hw: SizeHW | None = None
    weights: str = "default"
    backend: str = "auto"
    node_module: str = NODE_MODULE


@dataclass(frozen=True)
class DemoResult:
    """The content of `summary.json`, the files written, and remarks to print."""

    summary: dict[str, Any]
    files: list[Path]
    remarks: list[str]


@dataclass(frozen=True)
class _PlayedStream:
    published: "list[PublishedFrame]"
    listener: "StreamListener"
    late: int


class _Demo:
    def __init__(self, settings: DemoSettings, progress: Progress) -> None:
        self._began_s = time.monotonic()
        self._card = read_card(settings.weights)
        self._settings = settings
        self._progress = progress
        self._source = open_source(settings.source, size_hw=settings.size_hw or DEFAULT_SIZE_HW)
        # Masks are read by the source ids of the weights, as in `proxia evaluate`.
        own = choose_label_set(self._card.to_label_set(), "")
        self._truth = TruthFolder(settings.truth, self._source, own) if settings.truth else None
        self._stream = self._open_stream(self._source)
        self._store = FrameStore()
        self._node_arguments = self._list_node_arguments()

    def _open_stream(self, source: Source) -> FrameStream:
        own_rate_hz = source.rate_hz
        is_drawn = bool(source.label_set_name)
        stream_settings = StreamSettings(
            size_hw=None if is_drawn else self._settings.size_hw,
            max_frames=math.ceil(self._settings.seconds * own_rate_hz),
        )
        return FrameStream(source, stream_settings, self._truth)

    def run(self) -> DemoResult:
        """Play the source, record the results and write them to files."""
        prefetcher = Prefetcher(
            self._store.keep_all(self._stream),
            count_bytes=count_bytes,
            max_bytes=1 if self._stream.is_live else PREFETCH_BYTES,
            is_live=self._stream.is_live,
        )
        try:
            played = self._play_to_node(prefetcher)
        finally:
            prefetcher.close()
        return self._write_results(played)

    def _play_to_node(self, frames: Prefetcher[SourceFrame]) -> _PlayedStream:
        from proxia_segmentation_ros.ros.environment import prepare_environment

        os.environ.update(isolate_environment())
        prepare_environment()
        self._progress.begin("starting the node")
        with NodeProcess(
            self._node_arguments, env=os.environ, module=self._settings.node_module
        ) as process:
            try:
                return self._play(process, frames)
            except ProxiaError as error:
                process.check_alive()
                if type(error) is not ProxiaError:
                    raise
                raise ProxiaError(f"{error}; {process.describe_log()}") from error

    def _list_node_arguments(self) -> list[str]:
        parameters = {
            "model.weights": self._settings.weights,
            "inference.backend": self._settings.backend,
            "cameras.camera.image_topic": f"/{IMAGE_TOPIC}",
            "cameras.camera.transport": self._stream.transport,
        }
        return make_ros_arguments(NodeLaunch(parameters=parameters, node_name=NODE_NAME))

    def _play(self, process: NodeProcess, frames: Prefetcher[SourceFrame]) -> _PlayedStream:
        from proxia_segmentation_ros.ros.client.listener import StreamListener
        from proxia_segmentation_ros.ros.client.player import CameraPlayer
        from proxia_segmentation_ros.ros.client.session import RosSession

        published: list[PublishedFrame] = []
        with RosSession("proxia_demo_user") as session:
            listener = StreamListener(
                session, f"/{NODE_NAME}", on_labels=lambda _: self._progress.advance()
            )
            player = CameraPlayer(
                session,
                _list_played(frames),
                rate_hz=self._stream.rate_hz,
                topic=f"/{IMAGE_TOPIC}",
                transport=self._stream.transport,
                node_name_to_wait=f"/{NODE_NAME}",
            )
            player.wait_until_ready(READY_TIMEOUT_S, process.check_alive)
            if not self._stream.is_live:
                self._prepare(frames)
            made = None if frames.is_producing else self._store.count
            late = self._stream_frames(player, published.append, made)
            self._wait_for_last(listener, published, process)
        if not listener.labels:
            raise ProxiaError.from_parts(
                f"no labels came back for {len(published)} frames",
                "one image of labels for each",
                "see what the node says",
            )
        return _PlayedStream(published, listener, late)

    def _prepare(self, frames: Prefetcher[SourceFrame]) -> None:
        """Prefetch frames, so that drawing or decoding does not take CPU time from the node."""
        self._progress.begin("preparing frames")
        enough = math.ceil(SHORTEST_STREAM_S * self._stream.rate_hz)
        if not frames.wait_until_full(PREPARE_TIMEOUT_S) and frames.queued >= enough:
            frames.stop_producing()

    def _stream_frames(
        self,
        player: "CameraPlayer",
        on_published: "Callable[[PublishedFrame], None]",
        made: int | None,
    ) -> int:
        elapsed_s = time.monotonic() - self._began_s
        seconds = min(self._settings.seconds, STREAM_ENDS_BY_S - elapsed_s)
        seconds = max(seconds, SHORTEST_STREAM_S)
        expected = math.ceil(seconds * self._stream.rate_hz) or None
        self._progress.begin("labelling", min(expected, made) if expected and made else expected)
        alarm = threading.Timer(seconds, player.stop)
        alarm.start()
        try:
            return player.play(on_published).late
        finally:
            alarm.cancel()

    def _wait_for_last(
        self,
        listener: "StreamListener",
        published: "list[PublishedFrame]",
        process: NodeProcess,
    ) -> None:
        """Wait for the labels of the last frame, then for statistics that include it."""
        if not published:
            return
        last_ns = published[-1].stamp_ns
        give_up_s = time.monotonic() + LAST_LABELS_TIMEOUT_S
        while time.monotonic() < give_up_s:
            process.check_alive()
            if listener.wait_for(lambda listener: last_ns in listener.labels, ALIVE_PERIOD_S):
                break
        count = len(listener.labels)
        listener.wait_for(
            lambda listener: (
                listener.stats is not None
                and listener.stats.adds_up
                and listener.stats.labelled >= count
            ),
            LAST_STATS_TIMEOUT_S,
        )

    def _write_results(self, played: _PlayedStream) -> DemoResult:
        from proxia_segmentation_ros.apps.demo.pictures import (
            draw_contact_sheet,
            write_overlay_video,
        )

        record = self._make_record(played)
        out = self._settings.out
        out.mkdir(parents=True, exist_ok=True)
        self._progress.begin("drawing")
        files = [out / "overlay.mp4", out / "contact_sheet.png", out / "summary.json"]
        write_overlay_video(record, files[0])
        sheet_HWC = draw_contact_sheet(record)
        cv2.imwrite(str(files[1]), cv2.cvtColor(sheet_HWC, cv2.COLOR_RGB2BGR))
        summary = summarize_demo(record)
        files[2].write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        remarks = list_remarks(record, played.late, self._stream.skipped)
        remarks += self._truth.list_unknown_ids() if self._truth is not None else []
        return DemoResult(summary, files, remarks)

    def _make_record(self, played: _PlayedStream) -> DemoRecord:
        listener = played.listener
        scenes = listener.scenes
        frames = match_frames(self._store.frames, played.published, listener.labels, scenes)
        return DemoRecord(
            source=self._source.name,
            model=self._card.name,
            rate_hz=self._stream.rate_hz or _measure_played_rate(played.published),
            label_set=self._card.to_label_set(),
            truth_names=self._name_truth(),
            frames=frames,
            stats=listener.stats,
        )

    def _name_truth(self) -> tuple[str, ...]:
        if self._truth is not None:
            return self._truth.label_set.names
        name = self._source.label_set_name
        return load_label_set(name).names if name else ()


def run_demo(settings: DemoSettings, progress: Progress) -> DemoResult:
    """Run the demo and write its pictures and figures to `settings.out`.

    Raises:
        ProxiaError: the source can't be played, or no labels came back.
    """
    return _Demo(settings, progress).run()


def list_remarks(record: DemoRecord, late: int, skipped: int = 0) -> list[str]:
    """Return the remarks to print below the figures."""
    remarks = [describe_frame_counts(record.stats)]
    if late:
        remarks.append(f"{late} frames were published late: this machine was overloaded")
    if skipped:
        remarks.append(f"{skipped} damaged frames of the source were left out")
    return remarks


def describe_frame_counts(stats: "ReceivedStats | None") -> str:
    """Return how many frames the node received, labelled and dropped, and whether they add up."""
    if stats is None:
        return "the node published no statistics, so its frame counts were not checked"
    dropped = sum(stats.dropped.values())
    is_wrong = "" if stats.adds_up else ", WHICH DOES NOT ADD UP"
    return (
        f"the node received {stats.received} frames, labelled {stats.labelled} and dropped "
        f"{dropped}{is_wrong}"
    )


def _list_played(frames: Prefetcher[SourceFrame]) -> "Iterator[PlayedFrame]":
    for source_frame in frames:
        yield source_frame.frame


def _measure_played_rate(published: "list[PublishedFrame]") -> float:
    span_s = published[-1].sent_at_s - published[0].sent_at_s
    return (len(published) - 1) / span_s if span_s > 0 else 1.0
