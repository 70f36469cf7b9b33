"""The probe of a node's state, on a fake graph that announces some services to nobody."""

from types import SimpleNamespace
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State, TransitionEvent
from lifecycle_msgs.srv import GetState

from proxia_segmentation_ros.ros.client.backoff import LONGEST_S, Backoff
from proxia_segmentation_ros.ros.client.lifecycle_probe import RENEW_AFTER_S, LifecycleProbe
from proxia_segmentation_ros.ros.client.rediscovery_session import RCLError


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


class Future:
    """An answer that is there at once, or when told."""

    def __init__(self, state):
        self._state = state
        self._callback: Any = None

    def add_done_callback(self, callback):
        self._callback = callback
        if self._state is not None:
            callback(self)

    def come(self, state):
        self._state = state
        self._callback(self)

    def exception(self):
        return None

    def result(self):
        return GetState.Response(current_state=State(label=self._state))


class Client:
    def __init__(self, is_ready, state):
        self.service_is_ready = lambda: is_ready
        self._state = state
        self.futures = []

    def call_async(self, request):
        self.futures.append(Future(self._state))
        return self.futures[-1]


class Session:
    """A session whose node makes these clients, one after the other."""

    def __init__(self, clients):
        self._clients = iter(clients)
        self.made, self.destroyed, self.listeners = [], [], []
        self.at_shutdown: list[Any] = []
        self.is_closed = False
        self.warnings = []
        self.reports: Any = None
        self.node = self
        self.context = SimpleNamespace(on_shutdown=self.at_shutdown.append, get_domain_id=lambda: 7)

    def close(self):
        self.is_closed = True

    def get_name(self):
        return "player"

    def get_logger(self):
        return SimpleNamespace(warning=self.warnings.append)

    def create_client(self, kind, name):
        made = next(self._clients)
        if isinstance(made, Exception):
            raise made
        self.made.append(made)
        return made

    def create_subscription(self, kind, topic, callback, qos):
        if kind is TransitionEvent:
            self.listeners.append(callback)
        else:
            self.reports = callback

    def tell(self, *states):
        for state in states:
            self.listeners[0](TransitionEvent(goal_state=State(label=state)))

    def destroy_client(self, client):
        self.destroyed.append(client)


def make_session(clients: list[Any]) -> Any:
    return Session(clients)


DEAF = Client(is_ready=False, state=None)
SILENT = Client(is_ready=True, state=None)
WELL = Client(is_ready=True, state="active")


@pytest.mark.parametrize("broken", [DEAF, SILENT])
def test_probe_asks_with_a_new_client_when_no_answer_comes(broken):
    clock, session = Clock(), make_session([broken, WELL])
    probe = LifecycleProbe(session, "/segmenter", monotonic=clock)
    assert probe.poll_state() is None
    clock.now_s += RENEW_AFTER_S - 0.1
    assert probe.poll_state() is None
    assert session.made == [broken]
    clock.now_s += 0.2
    assert probe.poll_state() == "active"
    assert session.destroyed == [broken]


def test_probe_turns_to_a_participant_of_its_own_when_new_clients_stay_deaf():
    clock, session = Clock(), make_session([DEAF, DEAF])
    fallbacks = [Session([DEAF]), make_session([WELL])]
    opened = []

    def open_session(name, *, domain_id):
        opened.append((name, domain_id))
        return fallbacks[len(opened) - 1]

    probe = LifecycleProbe(session, "/segmenter", open_session=open_session, monotonic=clock)
    for backoff_s in (RENEW_AFTER_S, 2 * RENEW_AFTER_S):
        clock.now_s += backoff_s
        assert probe.poll_state() is None
    assert opened == [("player_probe1", 7)]
    clock.now_s += 4 * RENEW_AFTER_S
    assert probe.poll_state() == "active"
    assert opened[1:] == [("player_probe2", 7)]
    assert [fallback.is_closed for fallback in fallbacks] == [True, False]
    session.at_shutdown[0]()
    assert fallbacks[1].is_closed


def test_transitions_told_to_the_new_participant_count():
    clock, session, fallback = Clock(), make_session([DEAF, DEAF]), make_session([DEAF])
    probe = LifecycleProbe(
        session, "/segmenter", open_session=lambda *_, **__: fallback, monotonic=clock
    )
    for backoff_s in (RENEW_AFTER_S, 2 * RENEW_AFTER_S):
        clock.now_s += backoff_s
        probe.poll_state()
    fallback.tell("configuring", "unconfigured")
    assert probe.has_failed
    assert probe.poll_state() == "unconfigured"


def test_answering_node_keeps_its_client():
    clock, session = Clock(), make_session([WELL])
    probe = LifecycleProbe(session, "/segmenter", monotonic=clock)
    for _ in range(20):
        assert probe.poll_state() == "active"
        clock.now_s += 1.0
    assert session.made == [WELL]


def test_backoff_doubles_up_to_its_longest_and_restarts_with_an_answer():
    clock = Clock()
    backoff = Backoff(5.0, clock)
    lengths_s: list[float] = []
    while len(lengths_s) < 6:
        began_at_s = clock.now_s
        while not backoff.has_elapsed():
            clock.now_s += 1.0
        lengths_s.append(clock.now_s - began_at_s)
    assert lengths_s == [5.0, 10.0, 20.0, 40.0, LONGEST_S, LONGEST_S]
    backoff.restart()
    clock.now_s += 5.0
    assert backoff.has_elapsed()


def test_late_answer_of_before_the_configure_is_no_failure():
    asked = Client(is_ready=True, state=None)
    session = make_session([asked])
    probe = LifecycleProbe(session, "/segmenter", monotonic=Clock())
    assert probe.poll_state() is None
    session.tell("configuring")
    asked.futures[0].come("unconfigured")
    assert probe.poll_state() == "configuring"
    assert not probe.has_failed


def test_late_answer_does_not_undo_what_was_told_since():
    clock, asked = Clock(), Client(is_ready=True, state=None)
    session = make_session([asked])
    probe = LifecycleProbe(session, "/segmenter", monotonic=clock)
    probe.poll_state()
    session.tell("activating", "active")
    asked.futures[0].come("inactive")
    assert probe.poll_state() == "active"
    clock.now_s += 1.0
    probe.poll_state()
    asked.futures[1].come("inactive")
    assert probe.poll_state() == "inactive"


def test_answer_to_a_question_of_during_the_configure_tells_its_failure():
    asked = Client(is_ready=True, state=None)
    session = make_session([asked])
    probe = LifecycleProbe(session, "/segmenter", monotonic=Clock())
    session.tell("configuring")
    probe.poll_state()
    asked.futures[0].come("unconfigured")
    assert probe.has_failed


def test_failure_of_a_configure_whose_begin_was_lost_is_told_by_its_end():
    session = make_session([SILENT])
    probe = LifecycleProbe(session, "/segmenter", monotonic=Clock())
    event = TransitionEvent(
        start_state=State(label="configuring"), goal_state=State(label="unconfigured")
    )
    session.listeners[0](event)
    assert probe.has_failed


def poll_for(probe, clock, seconds, each_second=lambda: None):
    for _ in range(round(seconds)):
        clock.now_s += 1.0
        each_second()
        probe.poll_state()


def test_long_configure_does_not_trigger_a_rediscovery():
    clock, session = Clock(), make_session([SILENT, WELL])
    probe = LifecycleProbe(session, "/segmenter", monotonic=clock)
    session.tell("configuring")
    poll_for(probe, clock, 300)
    assert session.made == [SILENT]
    session.tell("inactive")
    poll_for(probe, clock, RENEW_AFTER_S - 1)
    assert session.made == [SILENT]
    poll_for(probe, clock, 1)
    assert session.made == [SILENT, WELL]


@pytest.mark.parametrize(
    ("name", "message", "is_patient"),
    [
        ("robot1/segmenter: model", "loading default", True),
        ("robot1/segmenter: model", "inactive", False),
        ("robot2/segmenter: model", "loading default", False),
    ],
)
def test_node_that_says_it_loads_is_given_time(name, message, is_patient):
    clock, session, fallback = Clock(), make_session([SILENT] * 2), make_session([SILENT])
    opened = []

    def open_session(*_, **__):
        opened.append(fallback)
        return fallback

    probe = LifecycleProbe(session, "/robot1/segmenter", open_session=open_session, monotonic=clock)
    report = DiagnosticArray(status=[DiagnosticStatus(name=name, message=message)])
    poll_for(probe, clock, 4 * RENEW_AFTER_S, lambda: session.reports(report))
    assert (session.made == [SILENT], not opened) == (is_patient, is_patient)


def fail_to_open(*_, **__):
    raise RCLError("no participant left")


@pytest.mark.parametrize("is_opened", [False, True])
def test_renewal_that_fails_keeps_the_client_and_is_tried_again(is_opened):
    clock, session = Clock(), make_session([DEAF] * 2)
    first, last = make_session([DEAF]), make_session([WELL])
    halfway = make_session([RCLError("no client left")])
    openings = iter([lambda: first, (lambda: halfway) if is_opened else fail_to_open, lambda: last])
    probe = LifecycleProbe(
        session, "/segmenter", open_session=lambda *_, **__: next(openings)(), monotonic=clock
    )
    for times in (1, 2, 4):
        clock.now_s += times * RENEW_AFTER_S
        assert probe.poll_state() is None
    assert not first.is_closed
    assert halfway.is_closed == is_opened
    assert len(session.warnings) == 1
    clock.now_s += LONGEST_S
    assert probe.poll_state() == "active"
    assert first.is_closed
    assert not last.is_closed


def test_late_copy_of_an_old_failure_to_an_older_participant_is_no_news():
    clock, session, fallback = Clock(), make_session([DEAF, DEAF]), make_session([SILENT])
    probe = LifecycleProbe(
        session, "/segmenter", open_session=lambda name, domain_id: fallback, monotonic=clock
    )
    for backoff_s in (RENEW_AFTER_S, 2 * RENEW_AFTER_S):
        clock.now_s += backoff_s
        probe.poll_state()
    fallback.tell("configuring")
    session.tell("unconfigured")
    assert probe.poll_state() == "configuring"
    assert not probe.has_failed
    fallback.tell("unconfigured")
    assert probe.has_failed
