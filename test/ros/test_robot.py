"""The robot of the other tests: what DDS and an earlier test do must not fail a later one."""

import gc

import pytest
from lifecycle_msgs.srv import GetState

NAME = "/proxia/get_state"


@pytest.fixture
def uncollected():
    """Keep the garbage collector from hiding what is left over."""
    gc.disable()
    yield
    gc.enable()


def test_closed_node_leaves_nothing_in_its_domain(robot, start_node, uncollected):
    under_test = start_node({"autostart": False})
    robot.wait_for(lambda: robot.node.count_services(NAME), "the services of the node")
    under_test.close()
    robot.wait_for(lambda: not robot.node.count_services(NAME), "no service left")


def test_unanswered_question_is_asked_anew_by_a_new_client(robot, start_node, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("robot.ASK_AGAIN_AFTER_S", 0.05)
        assert robot.ask_once("get_state", GetState.Request()) is None
        assert robot.ask_once("get_state", GetState.Request()) is None
    start_node({"autostart": False})
    assert robot.state() == "unconfigured"
    assert len(list(robot.node.clients)) == 4


def test_state_that_nobody_tells_is_waited_for_no_longer_than_asked(robot, monkeypatch):
    monkeypatch.setattr("robot.ASK_AGAIN_AFTER_S", 0.05)
    monkeypatch.setattr("robot.TIMEOUT_S", 0.1)
    with pytest.raises(AssertionError, match=r"waited 0\.1 s for an answer of get_state"):
        robot.state()
