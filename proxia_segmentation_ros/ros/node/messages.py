"""Builds the messages about a stream: LabelInfo and StreamStats."""

from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.msg import StreamStats
from proxia_segmentation_ros.pipeline.timing import LedgerCounts, StreamTimes


def make_label_info(header: Header, label_set: LabelSet, min_confidence: float) -> LabelInfo:
    """Return the class names of the ids in the label image."""
    class_map = [
        VisionClass(class_id=entry.id, class_name=entry.name) for entry in label_set.classes
    ]
    return LabelInfo(header=header, class_map=class_map, threshold=min_confidence)


def make_stats(
    header: Header,
    camera: str,
    counts: LedgerCounts,
    times: StreamTimes,
    backend: str,
    precision: str,
    tiles: tuple[int, int],
) -> StreamStats:
    """Return one camera's counters and recent statistics; `tiles` is (run, total)."""
    return StreamStats(
        header=header,
        camera=camera,
        received=counts.received,
        labelled=counts.labelled,
        dropped_replaced=counts.dropped_replaced,
        dropped_stale=counts.dropped_stale,
        dropped_undecodable=counts.dropped_undecodable,
        dropped_refused=counts.dropped_refused,
        dropped_paused=counts.dropped_paused,
        dropped_failed=counts.dropped_failed,
        rate_hz=times.rate_hz,
        latency_ms=times.latency_ms,
        age_ms=times.age_ms,
        inference_ms=times.inference_ms,
        backend=backend,
        precision=precision,
        tiles_run=tiles[0],
        tiles_total=tiles[1],
    )
