"""The probe of a node's state, on a fake graph that announces some services to nobody."""

from types import SimpleNamespace

import pytest
from lifecycle_msgs.msg import State, TransitionEvent
from lifecycle_msgs.srv import GetState

from proxia_segmentation_ros.ros.lifecycle_probe import RENEW_AFTER_S, LifecycleProbe
from proxia_segmentation_ros.ros.patience import LONGEST_S, Patience


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


class Future:
    """An answer that is there at once, or never."""

    def __init__(self, state):
        self._state = state

    def add_done_callback(self, callback):
        if self._state is not None:
            callback(self)

    def exception(self):
        return None

    def result(self):
        return GetState.Response(current_state=State(label=self._state))


class Client:
    def __init__(self, is_ready, state):
        self.service_is_ready = lambda: is_ready
        self._state = state

    def call_async(self, request):
        return Future(self._state)


class Session:
    """A session whose node makes these clients, one after the other."""

    def __init__(self, clients):
        self._clients = iter(clients)
        self.made, self.destroyed, self.listeners, self.at_shutdown = [], [], [], []
        self.is_closed = False
        self.node = self
        self.context = SimpleNamespace(on_shutdown=self.at_shutdown.append, get_domain_id=lambda: 7)

    def close(self):
        self.is_closed = True

    def get_name(self):
        return "player"

    def create_client(self, kind, name):
        self.made.append(next(self._clients))
        return self.made[-1]

    def create_subscription(self, kind, topic, callback, qos):
        self.listeners.append(callback)

    def destroy_client(self, client):
        self.destroyed.append(client)


DEAF = Client(is_ready=False, state=None)
SILENT = Client(is_ready=True, state=None)
WELL = Client(is_ready=True, state="active")


@pytest.mark.parametrize("broken", [DEAF, SILENT])
def test_probe_asks_with_a_new_client_when_no_answer_comes(broken):
    clock, session = Clock(), Session([broken, WELL])
    probe = LifecycleProbe(session, "/segmenter", monotonic=clock)
    assert probe.poll_state() is None
    clock.now_s += RENEW_AFTER_S - 0.1
    assert probe.poll_state() is None
    assert session.made == [broken]
    clock.now_s += 0.2
    assert probe.poll_state() == "active"
    assert session.destroyed == [broken]


def test_probe_turns_to_a_participant_of_its_own_when_new_clients_stay_deaf():
    clock, session = Clock(), Session([DEAF, DEAF])
    spares = [Session([DEAF]), Session([WELL])]
    opened = []

    def open_session(name, *, domain_id):
        opened.append((name, domain_id))
        return spares[len(opened) - 1]

    probe = LifecycleProbe(session, "/segmenter", open_session=open_session, monotonic=clock)
    for patience_s in (RENEW_AFTER_S, 2 * RENEW_AFTER_S):
        clock.now_s += patience_s
        assert probe.poll_state() is None
    assert opened == [("player_probe", 7)]
    clock.now_s += 4 * RENEW_AFTER_S
    assert probe.poll_state() == "active"
    assert [one.is_closed for one in spares] == [True, False]
    session.at_shutdown[0]()
    assert spares[1].is_closed


def test_transitions_told_to_the_new_participant_count():
    clock, session, spare = Clock(), Session([DEAF, DEAF]), Session([DEAF])
    probe = LifecycleProbe(
        session, "/segmenter", open_session=lambda *_, **__: spare, monotonic=clock
    )
    for patience_s in (RENEW_AFTER_S, 2 * RENEW_AFTER_S):
        clock.now_s += patience_s
        probe.poll_state()
    for state in ("configuring", "unconfigured"):
        spare.listeners[0](TransitionEvent(goal_state=State(label=state)))
    assert probe.has_failed
    assert probe.poll_state() == "unconfigured"


def test_answering_node_keeps_its_client():
    clock, session = Clock(), Session([WELL])
    probe = LifecycleProbe(session, "/segmenter", monotonic=clock)
    for _ in range(20):
        assert probe.poll_state() == "active"
        clock.now_s += 1.0
    assert session.made == [WELL]


def test_patience_doubles_up_to_its_longest_and_begins_anew_with_an_answer():
    clock = Clock()
    patience = Patience(5.0, clock)
    lengths_s = []
    while len(lengths_s) < 6:
        began_at_s = clock.now_s
        while not patience.is_over():
            clock.now_s += 1.0
        lengths_s.append(clock.now_s - began_at_s)
    assert lengths_s == [5.0, 10.0, 20.0, 40.0, LONGEST_S, LONGEST_S]
    patience.restart()
    clock.now_s += 5.0
    assert patience.is_over()
