"""A process that stands for one camera: it publishes to the topics of several benchmarked nodes.

First line in: the images and the topics, each with the node to wait for; the answer comes once
all of them are ready. Each further line names a topic and a stretch; the answer holds when each
frame was published, by its stamp.
"""

import itertools
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from proxia_segmentation_ros.benchmark.run import Stretch
from proxia_segmentation_ros.benchmark.workers.json_process import (
    AnsweringProcess,
    answer,
    read_questions,
    telling_errors,
)
from proxia_segmentation_ros.benchmark.workers.side_worker import BenchmarkImages
from proxia_segmentation_ros.ros.client.node_process import NodeProcess

if TYPE_CHECKING:
    from proxia_segmentation_ros.ros.client.player import CameraPlayer, PublishedFrame

MODULE = "proxia_segmentation_ros.benchmark.workers.camera"
READY_TIMEOUT_S = 60.0
LOOK_PERIOD_S = 0.2


class BenchmarkCamera(AnsweringProcess):
    """The other end of that process, for who starts it."""

    def __init__(
        self,
        name: str,
        topics: Mapping[str, tuple[str, str]],
        images: BenchmarkImages,
        env: Mapping[str, str],
    ) -> None:
        """`topics` holds topic and node to wait for, by a name of the caller's."""
        super().__init__(MODULE, f"camera {name!r}", env)
        self._first = {"name": name, "topics": dict(topics), "images": asdict(images)}
        self._pool = ThreadPoolExecutor(1)

    def wait_until_ready(self, *processes: NodeProcess) -> None:
        """Wait until everybody subscribes.

        Raises:
            ProxiaError: one of the processes has ended, or the camera found nobody to publish to.
            BackendError: the camera has ended, its error above.
            InputError: it can't read the images.
        """
        waiting = self._pool.submit(self.ask, self._first)
        while True:
            try:
                waiting.result(LOOK_PERIOD_S)
            except NotYet:
                for process in processes:
                    process.check_alive()
            else:
                return

    def begin(self, topic: str, stretch: Stretch) -> "Future[dict[int, float]]":
        """Publish a stretch in the background; gives moments of publishing by stamp."""
        return self._pool.submit(self._send, topic, stretch)

    def send(self, topic: str, stretch: Stretch) -> dict[int, float]:
        """Publish a stretch; returns moments of publishing by stamp in nanoseconds.

        Raises:
            BackendError: the camera has ended.
        """
        return self.begin(topic, stretch).result()

    def kill(self) -> None:
        """End the process as a crash would."""
        os.kill(self.pid, 9)

    def _send(self, topic: str, stretch: Stretch) -> dict[int, float]:
        content = self.ask({"topic": topic, "stretch": asdict(stretch)})
        return {int(stamp_ns): at_s for stamp_ns, at_s in content["sent_s"].items()}

    def close(self) -> None:
        """End the process and the thread that asks it."""
        super().close()
        self._pool.shutdown()


def main() -> None:
    """Answer the questions on stdin until it closes."""
    with telling_errors():
        _answer_all()


def _answer_all() -> None:
    from proxia_segmentation_ros.ros.client.player import CameraPlayer
    from proxia_segmentation_ros.ros.client.session import RosSession
    from proxia_segmentation_ros.wire.played_frame import PlayedFrame

    questions = read_questions()
    first = next(questions)
    size_hw = tuple(first["images"].pop("size_hw"))
    images = BenchmarkImages(size_hw=size_hw, **first["images"]).load()
    frames = [PlayedFrame.from_rgb(image_HWC) for image_HWC in images]
    with RosSession(f"proxia_benchmark_camera_{first['name']}") as session:
        players = {
            name: CameraPlayer(session, frames, rate_hz=1.0, topic=topic, node_name_to_wait=node)
            for name, (topic, node) in first["topics"].items()
        }
        for player in players.values():
            player.wait_until_ready(READY_TIMEOUT_S)
        answer({"topics": list(players)})
        for question in questions:
            player = players[question["topic"]]
            sent = play(player, frames, Stretch(**question["stretch"]))
            answer({"sent_s": {one.stamp_ns: one.sent_at_s for one in sent}})


def play(player: "CameraPlayer", frames: list[Any], stretch: Stretch) -> "list[PublishedFrame]":
    """Publish a stretch, the frames over and over."""
    sent: list[PublishedFrame] = []
    player.rate_hz = stretch.rate_hz
    player.frames = itertools.islice(itertools.cycle(frames), stretch.frames_due)
    player.play(sent.append)
    return sent


if __name__ == "__main__":
    main()
