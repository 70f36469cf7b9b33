import threading
from types import SimpleNamespace

import numpy as np
import pytest

from proxia_segmentation_ros.benchmark.pipeline import PipelineRunner
from proxia_segmentation_ros.benchmark.run import Run
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.labels import load_label_set

IMAGES = [np.full((16, 24, 3), shade, np.uint8) for shade in (3, 7)]


class FakeSegmenter:
    """Labels by the red channel; waits for `gate` from the second frame on when there is one."""

    def __init__(self, gate=None, breaks=False):
        self.label_set = load_label_set("camvid")
        self.gate, self.breaks = gate, breaks
        self.seen, self.asked = [], []

    largest_batch = lanes = 1

    def segment_many(self, images_HWC, with_confidence, **options):
        (image_HWC,) = images_HWC
        self.seen.append(int(image_HWC[0, 0, 0]))
        self.asked.append(options)
        if self.breaks:
            raise ValueError("the fake model burst")
        if self.gate is not None and not self.gate.wait(30):
            raise TimeoutError("the test left the gate shut")
        labels_HW = image_HWC[..., 0].copy()
        segmentation = SimpleNamespace(
            labels=labels_HW,
            confidence=None,
            stages_ms={"pre": 1.0, "infer": 2.0, "post": 3.0},
            tiles_run=1,
            tiles_total=4,
            scales=(0.5, 1.0),
        )
        return [segmentation]


@pytest.fixture
def open_pipeline():
    opened = []

    def open_one(segmenter, **calling):
        opened.append(PipelineRunner(segmenter, IMAGES, calling))
        return opened[-1]

    yield open_one
    for pipeline in opened:
        pipeline.close()


def test_every_frame_goes_through_all_stages(open_pipeline):
    segmenter = FakeSegmenter()
    trace = open_pipeline(segmenter, output_size="network").run(Run(frames=5))
    assert segmenter.seen == [3, 7, 3, 7, 3]
    assert segmenter.asked[0]["output_size"] == "network"
    assert (len(trace.sent_s), trace.missed) == (5, 0)
    assert {name: len(times) for name, times in trace.stages_ms.items()} == dict.fromkeys(
        ("receive", "decode", "pre", "infer", "post", "publish", "objects"), 5
    )
    assert min(trace.list_latencies_ms()) > 0
    assert trace.gauges["tiles_total"] == [4] * 5


def test_objects_can_be_left_out(open_pipeline):
    segmenter = FakeSegmenter()
    trace = open_pipeline(segmenter, objects=False).run(Run(frames=2))
    assert "objects" not in trace.stages_ms


def test_runs_do_not_mix(open_pipeline):
    pipeline = open_pipeline(FakeSegmenter())
    pipeline.run(Run(frames=4))
    trace = pipeline.run(Run(frames=3))
    assert (len(trace.received_s), len(trace.stages_ms["infer"])) == (3, 3)


def test_frames_that_a_busy_model_lets_pass_are_missed(open_pipeline):
    gate = threading.Event()
    pipeline = open_pipeline(FakeSegmenter(gate))
    put = pipeline._workers.put

    def open_gate_after_the_last(camera, message):
        put(camera, message)
        if message.key == 9:
            gate.set()

    pipeline._workers.put = open_gate_after_the_last
    trace = pipeline.run(Run(rate_hz=1000, frames=10))
    # One was in the model, or none yet; the last one waited.
    assert set(trace.received_s) <= {*range(10)}
    assert 9 in trace.received_s
    assert trace.missed in (8, 9)


def test_frame_that_fails_ends_the_benchmark(open_pipeline):
    with pytest.raises(BackendError, match="the fake model burst"):
        open_pipeline(FakeSegmenter(breaks=True)).run(Run(frames=2))
