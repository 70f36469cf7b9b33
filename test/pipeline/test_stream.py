"""One round of frames of several cameras: together where it can be, each on its own else."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from callable_stream import CallableStream

from proxia_segmentation_ros.pipeline.mailbox import PendingFrame
from proxia_segmentation_ros.pipeline.stream import Capacity, process_frames
from proxia_segmentation_ros.pipeline.workers import FrameWorkers


@dataclass
class Studio:
    """Streams whose steps write down what they did; payloads say which step breaks."""

    events: list[str] = field(default_factory=list)
    calls: list[list[str]] = field(default_factory=list)
    now_s: float = 100.0

    def make_stream(self, camera: str) -> CallableStream:
        def run(step: str, payload: str) -> None:
            if step in payload:
                raise ValueError(f"{camera} {payload}")
            self.events.append(f"{step} {camera}")

        def follow_up(decoded: str, _labelled: str, stages: Any) -> None:
            self.now_s += 0.004
            stages.mark("objects")
            run("follow", decoded)

        def decode(payload: str) -> str:
            self.now_s += 0.002
            run("decode", payload)
            return payload

        def reject(error: BaseException) -> Any:
            self.events.append(f"reject {error}")
            return "dropped_undecodable"

        return CallableStream(
            camera=camera,
            decode=decode,
            publish=lambda decoded, labelled: run("publish", labelled),
            follow_up=follow_up,
            reject=reject,
            age_ms=lambda decoded: 7.0,
            stages_ms=lambda labelled: {"infer": 20.0},
        )

    def label(self, decoded: Sequence[str]) -> list[str]:
        self.calls.append(list(decoded))
        self.now_s += 0.03
        if any("label" in frame for frame in decoded):
            raise ValueError("no label for one of them")
        return list(decoded)

    def play(self, label: Any = None, **payloads: str) -> dict[str, CallableStream]:
        streams = {camera: self.make_stream(camera) for camera in payloads}
        for stream in streams.values():
            stream.ledger.receive()
        taken = [
            (streams[camera], PendingFrame(camera=camera, payload=payload, received_s=99.99))
            for camera, payload in payloads.items()
        ]
        process_frames(taken, label or self.label, lambda: self.now_s)
        return streams


@pytest.fixture
def studio() -> Studio:
    return Studio()


def read_outcomes(streams: dict[str, CallableStream]) -> dict[str, tuple[int, int]]:
    counts = {camera: stream.ledger.counts() for camera, stream in streams.items()}
    assert all(camera_counts.under_way == 0 for camera_counts in counts.values())
    return {
        camera: (camera_counts.labelled, camera_counts.dropped_undecodable)
        for camera, camera_counts in counts.items()
    }


def test_frames_of_a_round_are_labelled_by_one_call(studio: Studio) -> None:
    streams = studio.play(a="1", b="2", c="3")
    assert studio.calls == [["1", "2", "3"]]
    assert read_outcomes(streams) == {"a": (1, 0), "b": (1, 0), "c": (1, 0)}


def test_all_labels_are_out_before_the_first_follow_up(studio: Studio) -> None:
    studio.play(a="1", b="2")
    assert studio.events[2:] == ["publish a", "publish b", "follow a", "follow b"]


def test_undecodable_frame_is_rejected_alone(studio: Studio) -> None:
    streams = studio.play(a="1", b="decode", c="3")
    assert studio.calls == [["1", "3"]]
    assert read_outcomes(streams) == {"a": (1, 0), "b": (0, 1), "c": (1, 0)}


def test_round_without_a_good_frame_calls_no_model(studio: Studio) -> None:
    assert read_outcomes(studio.play(a="decode")) == {"a": (0, 1)}
    assert studio.calls == []


def test_call_that_raises_is_repeated_frame_by_frame_and_loses_only_the_culprit(
    studio: Studio,
) -> None:
    streams = studio.play(a="1", b="label", c="3")
    assert studio.calls == [["1", "label", "3"], ["1"], ["label"], ["3"]]
    assert read_outcomes(streams) == {"a": (1, 0), "b": (0, 1), "c": (1, 0)}
    assert "reject no label for one of them" in studio.events


def test_too_few_results_are_an_error_of_the_call(studio: Studio) -> None:
    streams = studio.play(lambda decoded: decoded[:1], a="1", b="2")
    assert read_outcomes(streams) == {"a": (1, 0), "b": (1, 0)}


def test_frame_that_cannot_be_published_leaves_the_others_theirs(studio: Studio) -> None:
    streams = studio.play(a="publish", b="2")
    assert read_outcomes(streams) == {"a": (0, 1), "b": (1, 0)}
    assert "follow a" not in studio.events
    assert "follow b" in studio.events


def test_follow_up_that_fails_leaves_the_others_theirs(studio: Studio) -> None:
    streams = studio.play(a="follow", b="2")
    assert read_outcomes(streams) == {"a": (1, 0), "b": (1, 0)}
    assert studio.events[-2:] == ["reject a follow", "follow b"]


def test_every_camera_gets_its_own_times_and_the_pass_counts_for_each(studio: Studio) -> None:
    streams = studio.play(a="1", b="2")
    first, second = (streams[camera].meter.times(studio.now_s) for camera in "ab")
    assert first.inference_ms == second.inference_ms == pytest.approx(30.0)
    # 10 ms until taken, 2 ms of decoding each, 30 ms in the model.
    assert (first.latency_ms[0], second.latency_ms[0]) == pytest.approx((44.0, 44.0))
    assert first.stages_ms["receive"] == pytest.approx(10.0)
    assert second.stages_ms["receive"] == pytest.approx(12.0)
    for times in (first, second):
        assert times.stages_ms["decode"] == pytest.approx(2.0)
        assert times.stages_ms["infer"] == 20.0
        assert times.stages_ms["objects"] == pytest.approx(4.0)


def test_no_frame_is_kept_once_its_round_is_over() -> None:
    class Pixels:
        pass

    kept: list[weakref.ref[Pixels]] = []

    def decode(_payload: str) -> Pixels:
        pixels = Pixels()
        kept.append(weakref.ref(pixels))
        return pixels

    studio = Studio()
    workers = FrameWorkers()
    stream = replace(studio.make_stream("a"), decode=decode, publish=lambda *_: None)
    stream = replace(stream, follow_up=lambda *_: None)
    workers.open([stream], list)
    workers.put("a", "1")
    while stream.ledger.counts().labelled == 0:
        workers.run(lambda: None).result(10.0)
    workers.run(lambda: None).result(10.0)
    assert [reference() for reference in kept] == [None]
    assert workers.close(10.0)


def test_cameras_beyond_the_largest_batch_are_served_as_often_as_the_others() -> None:
    studio = Studio()
    workers = FrameWorkers()
    cameras = "abcdef"

    def label(decoded: Sequence[str]) -> list[str]:
        # Every camera has a new frame by the time this one is done: saturation.
        if len(studio.calls) < 9:
            for camera in cameras:
                workers.put(camera, camera)
        return studio.label(decoded)

    streams = [studio.make_stream(camera) for camera in cameras]
    workers.open(streams, label, lambda: Capacity(4))
    for camera in cameras:
        workers.put(camera, camera)
    while sum(stream.ledger.counts().under_way for stream in streams):
        workers.run(lambda: None).result(10.0)
    assert workers.close(10.0)
    labelled = [stream.ledger.counts().labelled for stream in streams]
    assert max(labelled) - min(labelled) <= 1
    assert max(map(len, studio.calls)) <= 4
