"""A node with its own context."""

import pytest
from rclpy.context import Context
from rclpy.exceptions import InvalidNodeNameException

from proxia_segmentation_ros.ros.client import session


def test_refused_node_leaves_no_context_open(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Context] = []

    def make_context() -> Context:
        made.append(Context())
        return made[-1]

    monkeypatch.setattr(session, "Context", make_context)
    with pytest.raises(InvalidNodeNameException):
        session.RosSession("no node name")
    assert [context.ok() for context in made] == [False]
