"""Messages taken beside the executor."""

import threading
import time

import pytest
import rclpy
from rclpy.context import Context
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from proxia_segmentation_ros.ros.client.session import RosSession
from proxia_segmentation_ros.ros.receiver import Receiver, ReceiverCallbackGroup

TIMEOUT_S = 20.0
TOPIC = "/receiver_test/words"


class Ear:
    """Notes what it hears and in which thread; chokes on one word."""

    def __init__(self):
        self.changed = threading.Condition()
        self.heard = []
        self.threads = set()
        self.reports = []

    def hear(self, message):
        with self.changed:
            self.heard.append(message.data)
            self.threads.add(threading.current_thread().name)
            self.changed.notify_all()
        if message.data == "bone":
            raise ValueError("too hard")

    def report(self, sentence):
        with self.changed:
            self.reports.append(sentence)
            self.changed.notify_all()

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT_S), (self.heard, self.reports)


class Speaker:
    """Publishes to a receiver of its own session."""

    def __init__(self, session, ear):
        node = session.node
        self.ear = ear
        self.publisher = node.create_publisher(String, TOPIC, QoSProfile(depth=50))
        self.subscription = node.create_subscription(
            String, TOPIC, ear.hear, QoSProfile(depth=50), callback_group=ReceiverCallbackGroup()
        )
        self.receiver = Receiver(session.context, [(self.subscription, ear.hear)], ear.report)

    def say(self, word):
        self.publisher.publish(String(data=word))


@pytest.fixture
def session(ros_domain):
    with RosSession("receiver_test") as opened:
        yield opened


@pytest.fixture
def speaker(session):
    speaker = Speaker(session, Ear())
    yield speaker
    speaker.receiver.close()


def test_every_message_is_handed_over_once_and_by_its_own_thread(speaker):
    words = [str(number) for number in range(20)]
    for word in words:
        speaker.say(word)
    speaker.ear.wait_for(lambda: len(speaker.ear.heard) >= len(words))
    assert speaker.ear.heard == words
    assert speaker.ear.threads == {"receiver"}
    assert speaker.ear.reports == []


def test_callback_that_raises_is_told_and_the_next_message_comes(speaker):
    speaker.say("bone")
    speaker.say("meat")
    speaker.ear.wait_for(lambda: "meat" in speaker.ear.heard and speaker.ear.reports)
    (report,) = speaker.ear.reports
    assert TOPIC in report
    assert "ValueError: too hard" in report


def test_nothing_is_handed_over_after_closing(session, speaker):
    speaker.say("first")
    speaker.ear.wait_for(lambda: speaker.ear.heard)
    speaker.receiver.close()
    assert not any(thread.name == "receiver" for thread in threading.enumerate())
    speaker.say("second")
    # Whoever takes the subscription over finds what the first receiver left.
    heir = Ear()
    receiver = Receiver(session.context, [(speaker.subscription, heir.hear)], heir.report)
    heir.wait_for(lambda: "second" in heir.heard)
    receiver.close()
    assert speaker.ear.heard == ["first"]


def test_events_of_a_subscription_are_told_by_the_receiver(session):
    told = threading.Event()
    lazy = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    subscription = session.node.create_subscription(
        String,
        TOPIC,
        print,
        QoSProfile(depth=1),
        callback_group=ReceiverCallbackGroup(),
        event_callbacks=SubscriptionEventCallbacks(incompatible_qos=lambda _: told.set()),
    )
    ear = Ear()
    receiver = Receiver(session.context, [(subscription, ear.hear)], ear.report)
    session.node.create_publisher(String, TOPIC, lazy)
    assert told.wait(TIMEOUT_S)
    assert receiver.close()
    assert ear.reports == []


def test_wait_that_fails_is_told(session):
    class Broken:
        topic_name, event_handlers = TOPIC, ()

        @property
        def handle(self):
            raise OSError("no handle")

    ear = Ear()
    receiver = Receiver(session.context, [(Broken(), ear.hear)], ear.report)
    ear.wait_for(lambda: ear.reports)
    assert "no more messages are taken (OSError: no handle)" in ear.reports[0]
    assert receiver.close()


def test_node_that_ros_destroys_while_it_shuts_down_closes_at_once(ros_domain):
    context = Context()
    rclpy.init(context=context)
    closed = []

    class Owner(Node):
        receiver: Receiver

        def destroy_node(self):
            closed.append(self.receiver.close())
            super().destroy_node()

    node, ear = Owner("owner", context=context), Ear()
    subscription = node.create_subscription(
        String, TOPIC, ear.hear, QoSProfile(depth=1), callback_group=ReceiverCallbackGroup()
    )
    node.receiver = Receiver(context, [(subscription, ear.hear)], ear.report)
    context.shutdown()
    assert closed[:1] == [True]
    assert ear.reports == []


def test_thread_ends_without_an_error_when_ros_shuts_down(session, speaker):
    session.close()
    give_up_s = time.monotonic() + TIMEOUT_S
    while any(thread.name == "receiver" for thread in threading.enumerate()):
        assert time.monotonic() < give_up_s
        time.sleep(0.01)
    assert speaker.ear.reports == []
