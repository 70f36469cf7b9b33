import itertools
import threading
import time
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from lifecycle_msgs.msg import State, TransitionEvent
from lifecycle_msgs.srv import GetState
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from proxia_segmentation_ros.errors import InputError, ProxiaError
from proxia_segmentation_ros.ros.client.player import (
    CameraPlayer,
    name_image_topic,
    name_info_topic,
    to_nanoseconds,
)
from proxia_segmentation_ros.ros.client.session import RosSession
from proxia_segmentation_ros.wire.played_frame import PlayedFrame

TIMEOUT_S = 60.0


def wait_until(holds):
    deadline_s = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def wait_for_calibration_listener(*sessions):
    """Wait until DDS has matched a publisher of these sessions with who takes its calibration."""
    publishers = [publisher for opened in sessions for publisher in opened.node.publishers]
    infos = [publisher for publisher in publishers if publisher.topic_name.endswith("camera_info")]
    assert infos
    wait_until(lambda: any(publisher.get_subscription_count() for publisher in infos))


def make_frames(count, height=20, width=30):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, height, width, 3), np.uint8)
    return images, [PlayedFrame.from_rgb(image_HWC) for image_HWC in images]


class Audience:
    """Subscribes to a camera and keeps what comes."""

    def __init__(self, session, topic="image", kind=Image, reliability=ReliabilityPolicy.RELIABLE):
        self.images: list[Any] = []
        self.infos: list[Any] = []
        self._changed = threading.Condition()
        qos = QoSProfile(depth=100, reliability=reliability)
        node = session.node
        node.create_subscription(kind, topic, self._keep_in(self.images), qos)
        info_topic = name_info_topic(topic)
        node.create_subscription(CameraInfo, info_topic, self._keep_in(self.infos), qos)

    def _keep_in(self, kept):
        def keep(message):
            with self._changed:
                kept.append(message)
                self._changed.notify_all()

        return keep

    def wait_for(self, count):
        with self._changed:
            return self._changed.wait_for(
                lambda: min(len(self.images), len(self.infos)) >= count, TIMEOUT_S
            )


class ManagedFake:
    """Answers get_state and tells transitions like a managed node."""

    def __init__(self, session, name, state):
        self.state = state
        node = session.node
        node.create_service(GetState, f"{name}/get_state", self._answer)
        self._events = node.create_publisher(TransitionEvent, f"{name}/transition_event", 10)

    def _answer(self, request, response):
        response.current_state = State(label=self.state)
        return response

    def move(self, state):
        self.state = state
        self._events.publish(TransitionEvent(goal_state=State(label=state)))

    def wait_until_heard(self):
        wait_until(self._events.get_subscription_count)


@pytest.fixture
def session(ros_domain):
    with RosSession("test_camera") as opened:
        yield opened


@pytest.fixture
def other(ros_domain):
    with RosSession("test_other") as opened:
        yield opened


def test_frames_arrive_whole_with_calibration_and_one_stamp(session, other):
    audience = Audience(other)
    images, frames = make_frames(3)
    player = CameraPlayer(session, frames, rate_hz=100.0, node_name_to_wait="")
    assert player.wait_until_ready(TIMEOUT_S)
    wait_for_calibration_listener(session)
    published: list[Any] = []
    report = player.play(published.append)
    assert audience.wait_for(3)
    assert (report.published, [record.index for record in published]) == (3, [0, 1, 2])
    for image_HWC, image, info, record in zip(
        images, audience.images, audience.infos, published, strict=True
    ):
        assert (image.height, image.width, image.encoding, image.step) == (20, 30, "rgb8", 90)
        assert bytes(image.data) == image_HWC.tobytes()
        assert image.header.frame_id == "camera_optical_frame"
        assert image.header == info.header
        assert to_nanoseconds(image.header.stamp) == record.stamp_ns
        assert (info.width, info.height) == (30, 20)
        assert (info.k[2], info.k[5]) == (14.5, 9.5)


def test_jpeg_is_passed_on_as_it_is(session, other):
    _, encoded = cv2.imencode(".jpg", np.zeros((24, 32, 3), np.uint8))
    audience = Audience(other, "front/image_raw/compressed", CompressedImage)
    frames = [PlayedFrame.from_encoded(encoded.tobytes(), "jpeg")]
    player = CameraPlayer(
        session,
        frames,
        rate_hz=10.0,
        topic="front/image_raw",
        transport="compressed",
        node_name_to_wait="",
    )
    player.wait_until_ready(TIMEOUT_S)
    wait_for_calibration_listener(session)
    player.play()
    assert audience.wait_for(1)
    assert bytes(audience.images[0].data) == encoded.tobytes()
    assert audience.images[0].format == "jpeg"
    assert (audience.infos[0].width, audience.infos[0].height) == (32, 24)


def test_frame_of_the_other_transport_is_refused(session):
    _, frames = make_frames(1)
    player = CameraPlayer(
        session, frames, rate_hz=10.0, transport="compressed", node_name_to_wait=""
    )
    with pytest.raises(InputError, match="frame is raw"):
        player.play()


def test_best_effort_audience_is_ready_too(session, other):
    Audience(other, reliability=ReliabilityPolicy.BEST_EFFORT)
    player = CameraPlayer(session, [], rate_hz=1.0, node_name_to_wait="", reliable=False)
    assert player.wait_until_ready(TIMEOUT_S)


def test_player_waits_until_the_node_is_active(session, other):
    node = ManagedFake(other, "/segmenter", "inactive")
    Audience(other)
    player = CameraPlayer(session, [], rate_hz=1.0, node_name_to_wait="/segmenter")
    polled = []

    def activate_later():
        polled.append(True)
        if len(polled) == 5:
            node.state = "active"

    assert player.wait_until_ready(TIMEOUT_S, activate_later)
    assert len(polled) >= 5


def test_topics_that_an_active_node_never_hears_of_move_to_a_new_participant(
    session, other, monkeypatch
):
    monkeypatch.setattr("proxia_segmentation_ros.ros.client.player.RENEW_AFTER_S", 0.5)
    ManagedFake(other, "/segmenter", "active")
    audience = Audience(other)
    opened, names = [], []

    def open_session(name, *, domain_id):
        names.append(name)
        opened.append(RosSession(name, domain_id=domain_id))
        return opened[-1]

    create_publisher = session.node.create_publisher

    def create_unheard(kind, topic, qos):
        if kind is Image:
            return SimpleNamespace(get_subscription_count=lambda: 0)
        return create_publisher(kind, topic, qos)

    monkeypatch.setattr(session.node, "create_publisher", create_unheard)
    player = CameraPlayer(
        session,
        make_frames(3)[1],
        rate_hz=100.0,
        node_name_to_wait="/segmenter",
        open_session=open_session,
    )
    assert player.wait_until_ready(TIMEOUT_S)
    assert "test_camera_camera1" in names
    wait_for_calibration_listener(*opened)
    assert player.play().published == 3
    assert audience.wait_for(3)
    session.close()
    assert not any(session.context.ok() for session in opened)


def test_topics_stay_where_no_node_is_waited_for(session, monkeypatch):
    monkeypatch.setattr("proxia_segmentation_ros.ros.client.player.RENEW_AFTER_S", 0.0)

    def open_session(*_, **__):
        raise AssertionError("nobody needs to subscribe soon")

    player = CameraPlayer(session, [], rate_hz=1.0, node_name_to_wait="", open_session=open_session)
    with pytest.raises(ProxiaError, match="nobody subscribed"):
        player.wait_until_ready(0.1)


def test_player_tells_that_the_node_failed_to_configure(session, other):
    node = ManagedFake(other, "/segmenter", "unconfigured")
    player = CameraPlayer(session, [], rate_hz=1.0, node_name_to_wait="/segmenter")
    node.wait_until_heard()
    node.move("configuring")
    node.move("unconfigured")
    with pytest.raises(ProxiaError, match="'/segmenter' failed to configure"):
        player.wait_until_ready(TIMEOUT_S)


def test_waiting_ends_with_the_state_of_the_node(session, other):
    ManagedFake(other, "/segmenter", "inactive")
    player = CameraPlayer(session, [], rate_hz=1.0, node_name_to_wait="/segmenter")
    with pytest.raises(ProxiaError, match=r"'/segmenter' (is 'inactive'|did not answer)"):
        player.wait_until_ready(0.5)


def test_waiting_names_the_topic_that_nobody_takes(session):
    player = CameraPlayer(session, [], rate_hz=1.0, topic="left/image", node_name_to_wait="")
    with pytest.raises(ProxiaError, match="nobody subscribed to 'left/image'"):
        player.wait_until_ready(0.1)


def test_stop_ends_an_endless_source(session):
    _, (frame,) = make_frames(1)
    player = CameraPlayer(session, itertools.repeat(frame), rate_hz=200.0, node_name_to_wait="")

    def stop_after_five(record):
        if record.index == 4:
            player.stop()

    assert player.play(stop_after_five).published == 5


def test_slow_making_does_not_bunch_the_frames_after_it(session, monkeypatch):
    _, (frame,) = make_frames(1)
    waited_s: list[float] = []
    clock = FakeTime(waited_s)

    def make():
        for index in range(6):
            if index == 2:
                clock.now_s += 1.0
            yield frame

    report = make_player_of(clock, session, make(), monkeypatch).play()
    assert report.late == 1
    assert waited_s == pytest.approx([0.0, 0.02, 0.0, 0.02, 0.02, 0.02])


def test_deadlines_do_not_drift_with_the_work_between_them(session, monkeypatch):
    _, (frame,) = make_frames(1)
    waited_s: list[float] = []
    clock = FakeTime(waited_s, work_s=0.005)
    player = make_player_of(clock, session, [frame] * 4, monkeypatch)
    player.play(lambda _: clock.work())
    assert waited_s == pytest.approx([0.0, 0.015, 0.015, 0.015])


def test_own_stamps_space_the_frames(session, monkeypatch):
    stamps_ns = [0, 100_000_000, 400_000_000, 0, 100_000_000]
    _, frames = make_frames(5)
    frames = [
        PlayedFrame(payload=frame.payload, stamp_ns=stamp_ns)
        for frame, stamp_ns in zip(frames, stamps_ns, strict=True)
    ]
    waited_s: list[float] = []
    make_player_of(FakeTime(waited_s), session, frames, monkeypatch).play()
    # Where the source begins anew, the rate fills the gap.
    assert waited_s == pytest.approx([0.0, 0.1, 0.3, 0.02, 0.1])


def test_stamp_that_is_not_set_keeps_nobody_waiting(session, monkeypatch, caplog):
    """From time 0 to today there are 54 years."""
    first_ns = 1_700_000_000_000_000_000
    stamps_ns = [0, first_ns, first_ns + 59_000_000_000, first_ns + 400_000_000_000]
    _, frames = make_frames(4)
    frames = [
        PlayedFrame(payload=frame.payload, stamp_ns=stamp_ns)
        for frame, stamp_ns in zip(frames, stamps_ns, strict=True)
    ]
    waited_s: list[float] = []
    make_player_of(FakeTime(waited_s), session, frames, monkeypatch).play()
    assert waited_s == pytest.approx([0.0, 0.02, 59.0, 0.02])
    assert "a frame is 1700000000 s after the one before it" in caplog.text


class FakeTime:
    """A clock that only waiting and work move."""

    def __init__(self, waited_s, work_s=0.0):
        self.now_s = 100.0
        self._waited_s = waited_s
        self._work_s = work_s

    def monotonic(self):
        return self.now_s

    def work(self):
        self.now_s += self._work_s

    def wait(self, seconds):
        self._waited_s.append(seconds)
        self.now_s += seconds
        return False

    def is_set(self):
        return False


def make_player_of(clock, session, frames, monkeypatch):
    """Return a player of 50 Hz that reads this clock and waits by it."""
    events = SimpleNamespace(Event=lambda: clock)
    monkeypatch.setattr("proxia_segmentation_ros.ros.client.player.threading", events)
    return CameraPlayer(
        session, frames, rate_hz=50.0, node_name_to_wait="", monotonic=clock.monotonic
    )


def test_info_lies_beside_the_image():
    assert name_info_topic("/front/image_raw") == "/front/camera_info"
    assert name_info_topic("front/image_raw/compressed") == "front/camera_info"
    assert name_info_topic("image") == "camera_info"


def test_compressed_is_appended_once():
    assert name_image_topic("image", "raw") == "image"
    assert name_image_topic("image", "compressed") == "image/compressed"
    assert name_image_topic("image/compressed", "compressed") == "image/compressed"
