import numpy as np
import pytest

from proxia_segmentation_ros.benchmark.run import FrameMetrics, Run, run_calls

IMAGES = [np.zeros((1, 1, 3), np.uint8), np.ones((1, 1, 3), np.uint8)]


class FakeModel:
    """Takes so many seconds for a call, by a clock of its own."""

    def __init__(self, *call_s: float) -> None:
        self.now_s = 100.0
        self.call_s = call_s
        self.seen: list[int] = []

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def label(self, image_HWC: np.ndarray) -> FrameMetrics:
        self.now_s += self.call_s[len(self.seen) % len(self.call_s)]
        self.seen.append(int(image_HWC[0, 0, 0]))
        return FrameMetrics(stages_ms={"infer": 1.0}, gauges={"scales": 1})

    def run(self, run: Run):
        return run_calls(self.label, IMAGES, run, clock=self.clock, sleep=self.sleep)


def test_fast_model_labels_every_frame_of_the_camera():
    trace = FakeModel(0.02).run(Run(rate_hz=10, seconds=1))
    assert (len(trace.sent_s), trace.missed) == (10, 0)
    assert trace.list_latencies_ms() == pytest.approx([20] * 10)


def test_frames_that_a_busy_model_lets_pass_are_missed():
    # Frames are due at 0, 0.1, 0.2, ...; a call takes two and a half of these gaps.
    trace = FakeModel(0.25).run(Run(rate_hz=10, seconds=1))
    assert list(trace.received_s) == [0, 2, 5, 7, 9]
    assert trace.missed == 5


def test_waiting_for_the_model_counts_as_latency():
    trace = FakeModel(0.25).run(Run(rate_hz=10, frames=3))
    # The frame due at 0.2 s waits until 0.25 s.
    assert trace.list_latencies_ms() == pytest.approx([250, 300])


def test_model_that_stumbles_once_catches_up_with_the_newest_frame():
    trace = FakeModel(0.02, 0.35, 0.02, 0.02, 0.02).run(Run(rate_hz=10, frames=7))
    assert list(trace.received_s) == [0, 1, 4, 5, 6]


def test_without_a_rate_one_call_follows_the_other():
    trace = FakeModel(0.25).run(Run(seconds=1))
    assert len(trace.received_s) == 4
    assert trace.list_latencies_ms() == pytest.approx([250] * 4)


def test_slow_model_gets_two_calls_or_there_was_no_rate():
    assert len(FakeModel(9.0).run(Run(seconds=1)).received_s) == 2


def test_number_of_frames_ends_a_run_without_a_rate():
    model = FakeModel(0.001)
    assert len(model.run(Run(frames=5)).received_s) == 5
    assert model.seen == [0, 1, 0, 1, 0]


def test_metrics_of_every_frame_are_kept():
    trace = FakeModel(0.1).run(Run(frames=3))
    assert trace.stages_ms == {"infer": [1.0, 1.0, 1.0]}
    assert trace.gauges == {"scales": [1, 1, 1]}
