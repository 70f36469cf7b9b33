import pytest

from proxia_segmentation_ros.apps.benchmark import BenchmarkSettings, summarize_rounds


def test_overhead_compares_the_medians_over_all_rounds():
    settings = BenchmarkSettings(size_hw=(360, 480))
    description = {"backend": "openvino", "precision": "f32"}
    node_ms = [[12.0, 12.0, 90.0], [12.0, 13.0, 11.0]]
    bare_ms = [[10.0, 10.0, 10.0], [10.0, 11.0, 9.0]]
    figures = summarize_rounds(settings, description, node_ms, bare_ms)
    assert figures["dds_ms"]["p50"] == 12.0
    assert figures["bare_ms"]["p50"] == 10.0
    assert figures["overhead_percent"] == pytest.approx(20.0)
    assert figures["rounds"] == [{"dds_ms": 12.0, "bare_ms": 10.0}] * 2
    assert (figures["size"], figures["backend"], figures["frames"]) == ("480x360", "openvino", 6)
