"""Messages about a stream."""

from std_msgs.msg import Header

from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.pipeline.timing import NO_PERCENTILES, LedgerCounts, StreamTimes
from proxia_segmentation_ros.ros.node.messages import make_label_info, make_stats


def test_label_info_lists_ids_names_and_threshold():
    label_set = load_label_set("camvid")
    info = make_label_info(Header(), label_set, 0.5)
    assert [named_class.class_name for named_class in info.class_map] == list(label_set.names)
    assert [named_class.class_id for named_class in info.class_map] == list(range(len(label_set)))
    assert info.threshold == 0.5


def test_stats_hold_each_counter_under_its_own_name():
    counts = LedgerCounts(
        received=21,
        labelled=1,
        dropped_replaced=2,
        dropped_stale=3,
        dropped_undecodable=4,
        dropped_refused=5,
        dropped_paused=6,
    )
    times = StreamTimes(
        rate_hz=15.0, latency_ms=(1.0, 2.0, 3.0), age_ms=NO_PERCENTILES, inference_ms=0.5
    )
    stats = make_stats(Header(), "left", counts, times, "openvino", "f32", (3, 12))
    for name, value in vars(counts).items():
        assert getattr(stats, name) == value
    assert stats.latency_ms.tolist() == [1.0, 2.0, 3.0]
    assert (stats.rate_hz, stats.inference_ms, stats.backend) == (15.0, 0.5, "openvino")
    assert (stats.tiles_run, stats.tiles_total) == (3, 12)
