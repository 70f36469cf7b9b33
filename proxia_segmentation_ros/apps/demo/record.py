"""What a demo saw, frame by frame, and the figures that come of it."""

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
class DemoMoment:
    """One published frame with what came back for it, matched by the exact header stamp."""

    source: "SourceFrame"
    published: "PublishedFrame"
    labels: "ReceivedLabels | None"
    scene: "ReceivedScene | None"

    @property
    def latency_ms(self) -> float:
        """Time from publishing to labels in; NaN without labels."""
        if self.labels is None:
            return float("nan")
        return 1000 * (self.labels.arrived_at_s - self.published.sent_at_s)


@dataclass(frozen=True, kw_only=True)
class DemoRecord:
    """A finished demo. `truth_names` are the classes of the truth, empty without one."""

    source: str
    model: str
    rate_hz: float
    label_set: LabelSet
    truth_names: Sequence[str]
    moments: Sequence[DemoMoment]
    stats: "ReceivedStats | None"

    @property
    def labelled(self) -> list[DemoMoment]:
        """The frames that were labelled."""
        return [one for one in self.moments if one.labels is not None]


def join_moments(
    sources: Sequence["SourceFrame"],
    published: Sequence["PublishedFrame"],
    labels: Mapping[int, "ReceivedLabels"],
    scenes: Mapping[int, "ReceivedScene"],
) -> list[DemoMoment]:
    """Match what came back with what was published."""
    return [
        DemoMoment(sources[one.index], one, labels.get(one.stamp_ns), scenes.get(one.stamp_ns))
        for one in published
    ]


def summarize_demo(record: DemoRecord) -> dict[str, Any]:
    """Return the content of `summary.json`; figures that are not known are None."""
    labelled = record.labelled
    latencies_ms = [one.latency_ms for one in labelled]
    first = labelled[0].labels if labelled else None
    size = f"{first.labels_HW.shape[1]}x{first.labels_HW.shape[0]}" if first else None
    return {
        "source": record.source,
        "model": record.model,
        "backend": record.stats.backend if record.stats else None,
        "precision": record.stats.precision if record.stats else None,
        "size": size,
        "frames_published": len(record.moments),
        "frames_labelled": len(labelled),
        "frames_dropped": len(record.moments) - len(labelled),
        "fps": measure_rate(record.moments),
        "latency_ms": {
            f"p{percent}": round(float(np.percentile(latencies_ms, percent)), 2)
            if latencies_ms
            else None
            for percent in PERCENTILES
        },
        "objects_seen": count_objects(labelled),
        "miou": measure_miou(record),
    }


def measure_rate(moments: Sequence[DemoMoment]) -> float | None:
    """Return labelled frames for each second of the stream, whose last frame lasts like others."""
    if len(moments) < 2:
        return None
    sent_s = moments[-1].published.sent_at_s - moments[0].published.sent_at_s
    stream_s = sent_s * len(moments) / (len(moments) - 1)
    return round(sum(one.labels is not None for one in moments) / stream_s, 2)


def count_objects(moments: Sequence[DemoMoment]) -> dict[str, int]:
    """Return the largest number of objects of each class in one frame, most first."""
    seen: dict[str, int] = {}
    for one in moments:
        for name, count in (one.scene.counts if one.scene else {}).items():
            seen[name] = max(seen.get(name, 0), count)
    return dict(sorted(seen.items(), key=lambda pair: (-pair[1], pair[0])))


def measure_miou(record: DemoRecord) -> float | None:
    """Return the mean IoU over the classes that have true pixels, None without truth."""
    from proxia_segmentation_ros.evaluation.metrics import ConfusionMatrix

    if tuple(record.truth_names) != record.label_set.names:
        return None
    matrix = ConfusionMatrix(len(record.label_set))
    for one in record.labelled:
        truth_HW = one.source.truth_HW
        if truth_HW is None or one.labels is None:
            continue
        if truth_HW.shape == one.labels.labels_HW.shape:
            matrix.add(truth_HW, one.labels.labels_HW)
    if not matrix.true_pixels.any():
        return None
    return round(matrix.mean_iou(only_true_classes=True), 4)
