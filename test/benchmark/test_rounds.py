from proxia_segmentation_ros.benchmark.rounds import (
    PEAK_HZ,
    Measurement,
    is_saturated,
    run_rounds,
)
from proxia_segmentation_ros.benchmark.trace import Trace


class Counting:
    def __init__(self):
        self.steps, self.total = 0, None

    def begin(self, text, total=None):
        self.total = total

    def advance(self):
        self.steps += 1


def test_rounds_are_interleaved_and_no_variant_always_comes_second():
    order, progress = [], Counting()

    def make(name):
        def run(rate_hz):
            order.append((name, rate_hz))
            return Trace(sent_s={0: float(len(order))}, received_s={})

        return run

    traces = run_rounds({"a": make("a"), "b": make("b")}, (0.0, 10.0), 2, progress)
    assert order == [
        ("a", 0.0),
        ("b", 0.0),
        ("a", 10.0),
        ("b", 10.0),
        ("b", 0.0),
        ("a", 0.0),
        ("b", 10.0),
        ("a", 10.0),
    ]
    assert progress.steps == progress.total == 8
    # Each variant's traces of a rate stand round by round.
    assert [trace.sent_s[0] for trace in traces["a"][10.0]] == [3.0, 8.0]
    assert [trace.sent_s[0] for trace in traces["b"][0.0]] == [2.0, 5.0]


def test_variant_that_labels_every_frame_of_some_round_is_not_saturated():
    busy, idle = (
        Trace(sent_s={0: 0.0, 1: 0.1}, received_s=received_s)
        for received_s in ({0: 1}, {0: 1, 1: 2})
    )
    full = Measurement(name="full", traces={PEAK_HZ: [busy, busy], 5.0: [idle]})
    half = Measurement(name="half", traces={PEAK_HZ: [busy, idle]})
    assert is_saturated(full)
    assert not is_saturated(full, half)
