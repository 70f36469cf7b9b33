"""A process that acts as one camera: it publishes to the topics of several benchmarked nodes.

The first request holds the images and the topics, each with the node to wait for; the response
comes once all nodes are ready. Each further request holds a topic and a run; its response has the
time at which each frame was published, by stamp.
"""

import itertools
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotReady
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from proxia_segmentation_ros.benchmark.run import Run
from proxia_segmentation_ros.benchmark.workers.json_process import (
    JsonProcess,
    read_requests,
    reporting_errors,
    respond,
)
from proxia_segmentation_ros.benchmark.workers.variant_worker import BenchmarkImages
from proxia_segmentation_ros.ros.client.node_process import NodeProcess

if TYPE_CHECKING:
    from proxia_segmentation_ros.ros.client.player import CameraPlayer, PublishedFrame

MODULE = "proxia_segmentation_ros.benchmark.workers.camera"
READY_TIMEOUT_S = 60.0
POLL_PERIOD_S = 0.2


class BenchmarkCamera(JsonProcess):
    """The client end of that process."""

    def __init__(
        self,
        name: str,
        topics: Mapping[str, tuple[str, str]],
        images: BenchmarkImages,
        env: Mapping[str, str],
    ) -> None:
        """`topics` holds topic and node to wait for, by names that the caller chooses."""
        super().__init__(MODULE, f"camera {name!r}", env)
        self._first = {"name": name, "topics": dict(topics), "images": asdict(images)}
        self._pool = ThreadPoolExecutor(1)

    def wait_until_ready(self, *processes: NodeProcess) -> None:
        """Wait until all topics have subscribers.

        Raises:
            ProxiaError: one of the processes has ended, or a topic has no subscriber.
            BackendError: the camera has ended.
            InputError: it can't read the images.
        """
        waiting = self._pool.submit(self.request, self._first)
        while True:
            try:
                waiting.result(POLL_PERIOD_S)
            except NotReady:
                for process in processes:
                    process.check_alive()
            else:
                return

    def begin(self, topic: str, run: Run) -> "Future[dict[int, float]]":
        """Start to publish a run; the result holds seconds of publishing by stamp."""
        return self._pool.submit(self._send, topic, run)

    def send(self, topic: str, run: Run) -> dict[int, float]:
        """Publish a run; return seconds of publishing by stamp in nanoseconds.

        Raises:
            BackendError: the camera has ended.
        """
        return self.begin(topic, run).result()

    def kill(self) -> None:
        """End the process as a crash would."""
        os.kill(self.pid, 9)

    def _send(self, topic: str, run: Run) -> dict[int, float]:
        content = self.request({"topic": topic, "run": asdict(run)})
        return {int(stamp_ns): at_s for stamp_ns, at_s in content["sent_s"].items()}

    def close(self) -> None:
        """End the process and the thread that sends it requests."""
        super().close()
        self._pool.shutdown()


def main() -> None:
    """Serve the requests on stdin until it closes."""
    with reporting_errors():
        _serve()


def _serve() -> None:
    from proxia_segmentation_ros.ros.client.player import CameraPlayer
    from proxia_segmentation_ros.ros.client.session import RosSession
    from proxia_segmentation_ros.wire.played_frame import PlayedFrame

    requests = read_requests()
    first = next(requests)
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
        respond({"topics": list(players)})
        for request in requests:
            player = players[request["topic"]]
            published = play(player, frames, Run(**request["run"]))
            respond({"sent_s": {frame.stamp_ns: frame.sent_at_s for frame in published}})


def play(player: "CameraPlayer", frames: list[Any], run: Run) -> "list[PublishedFrame]":
    """Publish a run, with the frames in a loop."""
    published: list[PublishedFrame] = []
    player.rate_hz = run.rate_hz
    player.frames = itertools.islice(itertools.cycle(frames), run.frames_due)
    player.play(published.append)
    return published


if __name__ == "__main__":
    main()
