"""A stream whose steps are functions of a test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxia_segmentation_ros.backends.stage_clock import StageClock
from proxia_segmentation_ros.pipeline.timing import FrameLedger, Outcome, StreamMeter


@dataclass(kw_only=True)
class CallableStream:
    """What `process_frames` asks of a stream, step by step."""

    camera: str
    decode: Callable[[Any], Any]
    publish: Callable[[Any, Any], None]
    follow_up: Callable[[Any, Any, StageClock], None]
    reject: Callable[[BaseException], Outcome]
    age_ms: Callable[[Any], float]
    stages_ms: Callable[[Any], Mapping[str, float]] = lambda _segmentation: {}
    ledger: FrameLedger = field(default_factory=FrameLedger)
    meter: StreamMeter = field(default_factory=StreamMeter)
