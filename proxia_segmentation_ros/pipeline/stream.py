"""One round of the pipeline: frames of several cameras, labelled together, each on its own else.

Payloads are opaque here. Whoever opens a stream supplies how to decode and publish them.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.pipeline.mailbox import Letter
from proxia_segmentation_ros.pipeline.timing import FrameLedger, Outcome, StreamMeter

logger = logging.getLogger(__name__)

Payload = TypeVar("Payload")
Decoded = TypeVar("Decoded")
Labelled = TypeVar("Labelled")

Label = Callable[[Sequence[Any]], Sequence[Any]]
"""Labels what several streams decoded, in one call and in that order."""


@dataclass(frozen=True, kw_only=True)
class Stream(Generic[Payload, Decoded, Labelled]):
    """One camera's steps, called for one frame at a time, and its bookkeeping.

    `publish` sends the labels, `follow_up` what can wait until all labels of the round are out;
    it marks the stages that it knows. `stages_ms` tells what labelling took, stage by stage. A
    step that raises ends the frame; `reject` reports the error and says how the frame counts.
    """

    camera: str
    decode: Callable[[Payload], Decoded]
    publish: Callable[[Decoded, Labelled], None]
    follow_up: Callable[[Decoded, Labelled, StageClock], None]
    reject: Callable[[BaseException], Outcome]
    age_ms: Callable[[Decoded], float]
    stages_ms: Callable[[Labelled], Mapping[str, float]] = lambda _labelled: {}
    ledger: FrameLedger = field(default_factory=FrameLedger)
    meter: StreamMeter = field(default_factory=StreamMeter)


@dataclass(eq=False)
class _Frame:
    """One frame on its way; `decoded`, `labelled` and `inference_ms` come with the steps."""

    stream: Stream[Any, Any, Any]
    received_s: float
    stages: StageClock
    decoded: Any
    labelled: Any = None
    inference_ms: float = 0.0


class FrameRound:
    """Take frames through their steps: no frame of one camera ends that of another."""

    def __init__(self, label: Label, clock: Callable[[], float]) -> None:
        self._label = label
        self._clock = clock

    def process(self, taken: Iterable[tuple[Stream[Any, Any, Any], Letter]]) -> None:
        """Decode, label, publish; then follow up, when the labels of all cameras are out."""
        decoded = [one for pair in taken for one in self._decode(*pair)]
        labelled = self._label_all(decoded)
        for frame in [frame for frame in labelled if self._publish(frame)]:
            self._follow_up(frame)

    def _decode(self, stream: Stream[Any, Any, Any], letter: Letter) -> list[_Frame]:
        stages = StageClock(self._clock)
        stages.add("receive", 1e3 * (self._clock() - letter.received_s))
        try:
            decoded = stream.decode(letter.payload)
        except BaseException as error:  # noqa: BLE001 - whatever a frame holds, the worker lives on
            stream.ledger.finish(_reject(stream, error))
            return []
        stages.mark("decode")
        return [_Frame(stream, letter.received_s, stages, decoded)]

    def _label_all(self, frames: list[_Frame]) -> list[_Frame]:
        """Label in one call; where that raises, one by one, to find the frame that is to blame."""
        if not frames:
            return []
        started_s = self._clock()
        try:
            results = self._label([frame.decoded for frame in frames])
            spent_ms = 1e3 * (self._clock() - started_s)
            for frame, labelled in zip(frames, results, strict=True):
                frame.labelled, frame.inference_ms = labelled, spent_ms
        except BaseException as error:  # noqa: BLE001 - as above
            if len(frames) > 1:
                return [one for frame in frames for one in self._label_all([frame])]
            frames[0].stream.ledger.finish(_reject(frames[0].stream, error))
            return []
        return frames

    def _publish(self, frame: _Frame) -> bool:
        stream, stages = frame.stream, frame.stages
        stages.skip()
        try:
            stream.publish(frame.decoded, frame.labelled)
            stages.mark("publish")
            age_ms = stream.age_ms(frame.decoded)
            for stage, spent_ms in stream.stages_ms(frame.labelled).items():
                stages.add(stage, spent_ms)
        except BaseException as error:  # noqa: BLE001 - as above
            stream.ledger.finish(_reject(stream, error))
            return False
        now_s = self._clock()
        stream.ledger.finish("labelled")
        stream.meter.add(
            latency_ms=1e3 * (now_s - frame.received_s),
            age_ms=age_ms,
            inference_ms=frame.inference_ms,
            now_s=now_s,
        )
        return True

    def _follow_up(self, frame: _Frame) -> None:
        stream, stages = frame.stream, frame.stages
        stages.skip()
        try:
            stream.follow_up(frame.decoded, frame.labelled, stages)
        except BaseException as error:  # noqa: BLE001 - the labels are out: the frame counts as labelled
            _reject(stream, error)
        stream.meter.add_stages(stages.stages_ms, self._clock())


def _reject(stream: Stream[Any, Any, Any], error: BaseException) -> Outcome:
    """Report a frame's error; a report that fails itself must not end the worker."""
    try:
        return stream.reject(error)
    except BaseException:
        logger.exception("camera %s can't report %r", stream.camera, error)
        return "dropped_refused"
