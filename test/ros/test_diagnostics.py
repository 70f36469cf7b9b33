"""Diagnostics are sent at once when they change."""

import pytest
from builtin_interfaces.msg import Time

from proxia_segmentation_ros.ros.diagnostics import OK, WARN, DiagnosticsBoard, Finding


class FakeNode:
    """Keeps what is published."""

    def __init__(self):
        self.sent = []

    def get_fully_qualified_name(self):
        return "/robot/proxia"

    def create_publisher(self, kind, topic, qos):
        assert topic == "/diagnostics"
        return self

    def publish(self, message):
        self.sent.append(message)


@pytest.fixture
def node():
    return FakeNode()


@pytest.fixture
def board(node):
    return DiagnosticsBoard(node)


def find(message="running", level=OK, part="model", **values):
    return Finding(part=part, level=level, message=message, values=values)


def test_finding_becomes_a_status_of_the_node(node, board):
    board.publish([find(latency_ms=1.234, backend="torch", frames=3)], Time(sec=7))
    [message] = node.sent
    [status] = message.status
    assert message.header.stamp.sec == 7
    assert (status.name, status.hardware_id) == ("robot/proxia: model", "robot/proxia")
    assert (status.level, status.message) == (OK, "running")
    values = {pair.key: pair.value for pair in status.values}
    assert values == {"latency_ms": "1.23", "backend": "torch", "frames": "3"}


@pytest.mark.parametrize(
    ("next_findings", "is_new"),
    [
        ([find(frames=9)], False),
        ([find(level=WARN)], True),
        ([find("stopped")], True),
        ([find(), find(part="camera left")], True),
        ([], True),
    ],
)
def test_only_levels_messages_and_parts_are_news(node, board, next_findings, is_new):
    board.publish([find(frames=1)], Time())
    board.publish_if_changed(next_findings, Time())
    assert len(node.sent) == 1 + is_new


def test_first_findings_are_news(node, board):
    board.publish_if_changed([find()], Time())
    assert len(node.sent) == 1
