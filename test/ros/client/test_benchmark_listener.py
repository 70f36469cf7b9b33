import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import Image

from proxia_segmentation_ros.errors import ProxiaError
from proxia_segmentation_ros.ros.client.benchmark_listener import (
    BenchmarkListener,
    read_gauges,
    read_serving,
    read_stages,
)
from proxia_segmentation_ros.ros.client.session import RosSession
from proxia_segmentation_ros.ros.diagnostics import DIAGNOSTICS_QOS

TIMEOUT_S = 20.0


def make_values(**values):
    return [KeyValue(key=name, value=value) for name, value in values.items()]


def make_image(sec, nanosec):
    image = Image(height=1, width=2, encoding="mono8", step=2, data=[1, 2])
    image.header.stamp.sec, image.header.stamp.nanosec = sec, nanosec
    return image


@pytest.fixture
def session(ros_domain):
    with RosSession("benchmark_listener_test") as opened:
        yield opened


def test_stages_are_picked_from_all_values():
    values = make_values(rate_hz="5.0", stage_infer_ms="12.5", stage_objects_ms="0.3")
    assert read_stages(values) == {"infer": 12.5, "objects": 0.3}


def test_stage_that_was_not_measured_is_left_out():
    assert read_stages(make_values(stage_infer_ms="nan", stage_pre_ms="1.0")) == {"pre": 1.0}


def test_tiles_and_scales_are_read_where_they_are_told():
    assert read_gauges(make_values(tiles="3/8", scales="0.5 1", rate_hz="5.0")) == {
        "tiles_run": 3.0,
        "tiles_total": 8.0,
        "scales": 2.0,
    }
    # Before the first frame, and of a node without tiles.
    assert read_gauges(make_values(tiles="0/0", scales="")) == {}
    assert read_gauges([]) == {}


def test_status_of_a_camera_tells_no_backend():
    serving = {"backend": "openvino", "precision": "int8"}
    assert read_serving(make_values(weights="default", **serving)) == serving
    assert read_serving(make_values(backend="openvino", rate_hz="5.0")) == {}


def test_newest_backend_of_a_node_outlives_a_run(session):
    listener = BenchmarkListener(session, {})
    diagnostics = session.node.create_publisher(DiagnosticArray, "/diagnostics", DIAGNOSTICS_QOS)
    for precision in ("f32", "int8"):
        values = make_values(backend="openvino", precision=precision, stage_infer_ms="1.0")
        diagnostics.publish(
            DiagnosticArray(status=[DiagnosticStatus(name="eye: model", values=values)])
        )
    assert listener.wait_for_stages("eye", 2, TIMEOUT_S)
    listener.clear()
    assert listener.wait_for_serving("/eye", 0.0) == {"backend": "openvino", "precision": "int8"}
    assert listener.wait_for_serving("blind", 0.0) == {}


def test_arrivals_are_kept_by_topic_and_stamp(session):
    listener = BenchmarkListener(session, {"left": "/left/labels", "right": "/right/labels"})
    publishers = {
        name: session.node.create_publisher(Image, f"/{name}/labels", 10)
        for name in ("left", "right")
    }
    listener.wait_until_matched(TIMEOUT_S)
    publishers["left"].publish(make_image(3, 5))
    publishers["right"].publish(make_image(4, 0))
    assert listener.wait_for_frame("left", 3_000_000_005, TIMEOUT_S)
    assert listener.wait_for_count("right", 1, TIMEOUT_S)
    assert list(listener.arrivals("left")) == [3_000_000_005]
    assert list(listener.arrivals("right")) == [4_000_000_000]
    assert not listener.wait_for_frame("left", 4_000_000_000, 0.0)
    listener.clear()
    assert listener.arrivals("left") == {}


def test_topic_that_nobody_publishes_is_told(session):
    listener = BenchmarkListener(session, {"camera": "/nobody/labels"})
    with pytest.raises(ProxiaError, match="nobody publishes '/nobody/labels' after 0 s"):
        listener.wait_until_matched(0.0)


def test_stages_are_kept_by_node(session):
    listener = BenchmarkListener(session, {"camera": "/eye/labels"})
    node = session.node
    diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", DIAGNOSTICS_QOS)
    labels = node.create_publisher(Image, "/eye/labels", 10)
    for infer_ms, name in (("10.0", "eye"), ("12.0", "eye"), ("99.0", "other")):
        status = DiagnosticStatus(
            name=f"{name}: camera camera",
            values=make_values(stage_infer_ms=infer_ms, tiles="1/2"),
        )
        diagnostics.publish(DiagnosticArray(status=[status]))
    labels.publish(make_image(1, 0))
    assert listener.wait_for_stages("eye", 2, TIMEOUT_S)
    assert listener.stages_ms("/eye") == {"infer": [10.0, 12.0]}
    assert listener.gauges("eye")["tiles_total"] == [2.0, 2.0]
    assert listener.stages_ms("blind") == {}
    listener.clear()
    assert listener.stages_ms("eye") == listener.gauges("eye") == {}
