"""The record of a demo, frame by frame, and the figures computed from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from proxia_segmentation_ros.labels import LabelSet

if TYPE_CHECKING:
    from proxia_segmentation_ros.ros.client.listener import (
        ReceivedLabels,
        ReceivedScene,
        ReceivedStats,
    )
    from proxia_segmentation_ros.ros.client.player import PublishedFrame
    from proxia_segmentation_ros.sources.frame_sources import SourceFrame

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class DemoFrame:
    """One published frame and the results for it, matched by the exact header stamp."""

    source: "SourceFrame"
    published: "PublishedFrame"
    labels: "ReceivedLabels | None"
    scene: "ReceivedScene | None"

    @property
    def latency_ms(self) -> float:
        """Time from publishing the frame to receiving its labels; NaN without labels."""
        if self.labels is None:
            return float("nan")
        return 1000 * (self.labels.arrived_at_s - self.published.sent_at_s)


@dataclass(frozen=True, kw_only=True)
class DemoRecord:
    """A finished demo; `truth_names` are the classes of the ground truth, empty without one."""

    source: str
    model: str
    rate_hz: float
    label_set: LabelSet
    truth_names: Sequence[str]
    frames: Sequence[DemoFrame]
    stats: "ReceivedStats | None"

    @property
    def labelled(self) -> list[DemoFrame]:
        """The frames that were labelled."""
        return [frame for frame in self.frames if frame.labels is not None]


def match_frames(
    sources: Sequence["SourceFrame"],
    published: Sequence["PublishedFrame"],
    labels: Mapping[int, "ReceivedLabels"],
    scenes: Mapping[int, "ReceivedScene"],
) -> list[DemoFrame]:
    """Match the received labels and scenes with the published frames."""
    return [
        DemoFrame(
            sources[frame.index], frame, labels.get(frame.stamp_ns), scenes.get(frame.stamp_ns)
        )
        for frame in published
    ]


def summarize_demo(record: DemoRecord) -> dict[str, Any]:
    """Return the content of `summary.json`; unknown figures are None."""
    labelled = record.labelled
    latencies_ms = [frame.latency_ms for frame in labelled]
    first = labelled[0].labels if labelled else None
    size = f"{first.labels_HW.shape[1]}x{first.labels_HW.shape[0]}" if first else None
    return {
        "source": record.source,
        "model": record.model,
        "backend": record.stats.backend if record.stats else None,
        "precision": record.stats.precision if record.stats else None,
        "size": size,
        "frames_published": len(record.frames),
        "frames_labelled": len(labelled),
        "frames_dropped": len(record.frames) - len(labelled),
        "fps": measure_rate(record.frames),
        "latency_ms": {
            f"p{percent}": round(float(np.percentile(latencies_ms, percent)), 2)
            if latencies_ms
            else None
            for percent in PERCENTILES
        },
        "objects_seen": count_objects(labelled),
        "miou": measure_miou(record),
    }


def measure_rate(frames: Sequence[DemoFrame]) -> float | None:
    """Return labelled frames per second; the last frame counts with the mean frame interval."""
    if len(frames) < 2:
        return None
    sent_s = frames[-1].published.sent_at_s - frames[0].published.sent_at_s
    stream_s = sent_s * len(frames) / (len(frames) - 1)
    return round(sum(frame.labels is not None for frame in frames) / stream_s, 2)


def count_objects(frames: Sequence[DemoFrame]) -> dict[str, int]:
    """Return the largest number of objects of each class in one frame, largest first."""
    most: dict[str, int] = {}
    for frame in frames:
        for name, count in (frame.scene.counts if frame.scene else {}).items():
            most[name] = max(most.get(name, 0), count)
    return dict(sorted(most.items(), key=lambda item: (-item[1], item[0])))


def measure_miou(record: DemoRecord) -> float | None:
    """Return the mean IoU over the classes in the ground truth, None without ground truth."""
    from proxia_segmentation_ros.evaluation.metrics import ConfusionMatrix

    if tuple(record.truth_names) != record.label_set.names:
        return None
    matrix = ConfusionMatrix(len(record.label_set))
    for frame in record.labelled:
        truth_HW = frame.source.truth_HW
        if truth_HW is None or frame.labels is None:
            continue
        if truth_HW.shape == frame.labels.labels_HW.shape:
            matrix.add(truth_HW, frame.labels.labels_HW)
    if not matrix.true_pixels.any():
        return None
    return round(matrix.mean_iou(only_true_classes=True), 4)
