"""A camera in a process of its own."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from proxia_segmentation_ros.benchmark.run import Run
from proxia_segmentation_ros.benchmark.workers.camera import BenchmarkCamera, play
from proxia_segmentation_ros.benchmark.workers.variant_worker import BenchmarkImages
from proxia_segmentation_ros.errors import InputError


def test_missing_images_are_an_error(ros_domain):
    images = BenchmarkImages(source="/no/such/clip.mp4", size_hw=(48, 64))
    with (
        BenchmarkCamera("left", {}, images, os.environ) as camera,
        pytest.raises(InputError, match=r"/no/such/clip\.mp4"),
    ):
        camera.wait_until_ready()


def test_frames_are_published_in_a_loop_at_the_rate_of_the_run():
    player: Any = SimpleNamespace()
    player.play = lambda note: [note(frame) for frame in player.frames]
    assert play(player, ["a", "b"], Run(rate_hz=10.0, seconds=0.5)) == ["a", "b", "a", "b", "a"]
    assert player.rate_hz == 10.0
