"""A record of a demo that never ran."""

from collections.abc import Sequence

import numpy as np
from sample_files import draw_image

from proxia_segmentation_ros.apps.demo.record import (
    DemoRecord,
    match_frames,
)
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.ros.client.listener import ReceivedLabels, ReceivedScene, ReceivedStats
from proxia_segmentation_ros.ros.client.player import PublishedFrame
from proxia_segmentation_ros.sources.frame_sources import SourceFrame
from proxia_segmentation_ros.wire.played_frame import PlayedFrame

SECOND_NS = 10**9


def make_record(
    predicted: Sequence[np.ndarray | None],
    truths: Sequence[np.ndarray | None],
    *,
    rate_hz: float = 10.0,
    truth_names: tuple[str, ...] | None = None,
) -> DemoRecord:
    """Return a record of one frame for each truth; `predicted` None is a lost frame."""
    label_set = load_label_set("camvid")
    sources = [SourceFrame(PlayedFrame.from_rgb(draw_image(0)), truth) for truth in truths]
    published, labels = [], {}
    for index, labels_HW in enumerate(predicted):
        sent_at_s = index / rate_hz
        published.append(PublishedFrame(index, index * SECOND_NS, sent_at_s))
        if labels_HW is not None:
            stamp_ns = index * SECOND_NS
            labels[stamp_ns] = ReceivedLabels(stamp_ns, sent_at_s + 0.02 + 0.01 * index, labels_HW)
    scenes = {
        0: ReceivedScene(0, "camvid", (), {"car": 3}),
        SECOND_NS: ReceivedScene(SECOND_NS, "camvid", (), {"car": 1, "pedestrian": 4}),
    }
    return DemoRecord(
        source="test",
        model="tiny",
        rate_hz=rate_hz,
        label_set=label_set,
        truth_names=label_set.names if truth_names is None else truth_names,
        frames=match_frames(sources, published, labels, scenes),
        stats=ReceivedStats(0.0, 3, 2, {"replaced": 1}, "openvino", "f32", 5.0),
    )


def fill(value: int) -> np.ndarray:
    return np.full((24, 32), value, np.uint8)
