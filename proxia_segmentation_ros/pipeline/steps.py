"""What a stream of frames has to offer to be processed."""

from collections.abc import Mapping
from typing import Any, Protocol

from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.pipeline.timing import FrameLedger, Outcome, StreamMeter


class Steps(Protocol):
    """What `process_frames` needs from a stream; `CameraStream` and test fakes implement it.

    An exception in a step ends the frame; `reject` reports it and returns the frame's outcome.
    """

    ledger: FrameLedger
    meter: StreamMeter

    @property
    def camera(self) -> str: ...

    def decode(self, payload: Any, /) -> Any: ...

    def publish(self, frame: Any, segmentation: Any, /) -> None: ...

    def follow_up(self, frame: Any, segmentation: Any, stages: StageClock, /) -> None: ...

    def reject(self, error: BaseException, /) -> Outcome: ...

    def age_ms(self, frame: Any, /) -> float: ...

    def stages_ms(self, segmentation: Any, /) -> Mapping[str, float]: ...
