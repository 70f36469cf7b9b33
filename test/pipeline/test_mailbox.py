"""One slot per camera."""

from proxia_segmentation_ros.pipeline.mailbox import Mailbox, PendingFrame


def post(mailbox: Mailbox, camera: str, payload: int) -> PendingFrame | None:
    return mailbox.put(PendingFrame(camera=camera, payload=payload, received_s=0.0))


def take(mailbox: Mailbox, now_s: float = 0.0, period_s: float = 0.0) -> PendingFrame | None:
    return next(iter(mailbox.take_due(now_s, period_s)), None)


def test_newest_letter_replaces_the_waiting_one():
    mailbox = Mailbox(["a"])
    assert post(mailbox, "a", 1) is None
    assert post(mailbox, "a", 2).payload == 1
    assert take(mailbox).payload == 2
    assert take(mailbox) is None


def test_cameras_take_turns_however_often_one_of_them_posts():
    mailbox = Mailbox(["a", "b", "c"])
    taken = []
    for _ in range(6):
        for camera in "abc":
            post(mailbox, camera, 0)
        taken.append(take(mailbox).camera)
    assert taken == ["a", "b", "c", "a", "b", "c"]


def test_due_letters_come_together_one_of_each_camera():
    mailbox = Mailbox(["a", "dead", "c"])
    for camera, payload in (("c", 1), ("a", 2), ("c", 3)):
        post(mailbox, camera, payload)
    taken = mailbox.take_due(0.0, 0.0, most=4)
    assert [(frame.camera, frame.payload) for frame in taken] == [("a", 2), ("c", 3)]
    assert mailbox.take_due(0.0, 0.0, most=4) == []


def test_more_cameras_than_places_take_turns():
    mailbox = Mailbox("abcde")
    rounds = []
    for _ in range(5):
        for camera in "abcde":
            post(mailbox, camera, 0)
        rounds.append("".join(frame.camera for frame in mailbox.take_due(0.0, 0.0, most=2)))
    assert rounds == ["ab", "cd", "ae", "bc", "de"]


def test_letter_of_a_busy_camera_waits_and_keeps_its_turn():
    mailbox = Mailbox("ab")
    for camera in "ab":
        post(mailbox, camera, 0)
    assert [frame.camera for frame in mailbox.take_due(0.0, 0.0, busy=["a"])] == ["b"]
    assert mailbox.next_due_s(busy=["a"]) is None
    assert mailbox.next_due_s() is not None
    post(mailbox, "b", 1)
    assert take(mailbox).camera == "a"


def test_camera_within_its_period_leaves_its_place_to_others():
    mailbox = Mailbox("abc")
    post(mailbox, "a", 0)
    take(mailbox, 0.0, 1.0)
    for camera in "abc":
        post(mailbox, camera, 1)
    assert [frame.camera for frame in mailbox.take_due(0.5, 1.0, most=2)] == ["b", "c"]
    assert [frame.camera for frame in mailbox.take_due(1.0, 1.0, most=2)] == ["a"]


def test_empty_slot_is_passed_over():
    mailbox = Mailbox(["dead", "b"])
    for number in range(3):
        post(mailbox, "b", number)
        assert take(mailbox).payload == number


def test_letter_waits_for_its_cameras_period():
    mailbox = Mailbox(["a"])
    post(mailbox, "a", 1)
    assert take(mailbox, 10.0, 0.5).payload == 1
    post(mailbox, "a", 2)
    assert mailbox.is_held("a", 10.4)
    assert take(mailbox, 10.4, 0.5) is None
    assert mailbox.next_due_s() == 10.5
    assert take(mailbox, 10.5, 0.5).payload == 2


def test_late_taking_does_not_shift_the_beat():
    mailbox = Mailbox(["a"])
    due_s = []
    for now_s in (10.0, 10.7, 11.1):
        post(mailbox, "a", 0)
        assert take(mailbox, now_s, 0.5) is not None
        post(mailbox, "a", 0)
        due_s.append(mailbox.next_due_s())
    assert due_s == [10.5, 11.0, 11.5]


def test_released_letter_is_due_at_once():
    mailbox = Mailbox(["a"])
    post(mailbox, "a", 1)
    take(mailbox, 0.0, 1000.0)
    post(mailbox, "a", 2)
    mailbox.release()
    assert take(mailbox, 0.1, 0.0).payload == 2


def test_clear_returns_what_waited():
    mailbox = Mailbox(["a", "b"])
    post(mailbox, "a", 1)
    assert [frame.payload for frame in mailbox.clear()] == [1]
    assert mailbox.next_due_s() is None
