"""Every frame of a call is counted once, even if the call is given up."""

from types import SimpleNamespace

from proxia_segmentation_ros.pipeline.attempt import Attempt
from proxia_segmentation_ros.pipeline.timing import FrameLedger


def make_stream(camera: str) -> SimpleNamespace:
    return SimpleNamespace(camera=camera, ledger=FrameLedger())


def test_frame_is_counted_once() -> None:
    left = make_stream("left")
    attempt = Attempt([left])
    assert attempt.finish("left", "labelled")
    assert not attempt.finish("left", "dropped_failed")
    counts = left.ledger.counts()
    assert (counts.labelled, counts.dropped_failed) == (1, 0)


def test_abandoned_call_counts_the_frames_without_outcome_as_failed() -> None:
    left, right = make_stream("left"), make_stream("right")
    attempt = Attempt([left, right])
    attempt.finish("left", "labelled")
    attempt.abandon("dropped_failed")
    assert attempt.is_abandoned
    assert not attempt.finish("right", "labelled")
    assert (left.ledger.counts().labelled, left.ledger.counts().dropped_failed) == (1, 0)
    assert (right.ledger.counts().labelled, right.ledger.counts().dropped_failed) == (0, 1)
