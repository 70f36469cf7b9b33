"""One slot per camera."""

from proxia_segmentation_ros.inference.mailbox import Letter, Mailbox


def post(mailbox: Mailbox, camera: str, payload: int) -> Letter | None:
    return mailbox.put(Letter(camera=camera, payload=payload, received_s=0.0))


def test_newest_letter_replaces_the_waiting_one():
    mailbox = Mailbox(["a"])
    assert post(mailbox, "a", 1) is None
    assert post(mailbox, "a", 2).payload == 1
    assert mailbox.take(0.0, 0.0).payload == 2
    assert mailbox.take(0.0, 0.0) is None


def test_cameras_take_turns_however_often_one_of_them_posts():
    mailbox = Mailbox(["a", "b", "c"])
    taken = []
    for _ in range(6):
        for camera in "abc":
            post(mailbox, camera, 0)
        taken.append(mailbox.take(0.0, 0.0).camera)
    assert taken == ["a", "b", "c", "a", "b", "c"]


def test_empty_slot_is_passed_over():
    mailbox = Mailbox(["dead", "b"])
    for number in range(3):
        post(mailbox, "b", number)
        assert mailbox.take(0.0, 0.0).payload == number


def test_letter_waits_for_its_cameras_period():
    mailbox = Mailbox(["a"])
    post(mailbox, "a", 1)
    assert mailbox.take(10.0, 0.5).payload == 1
    post(mailbox, "a", 2)
    assert mailbox.is_held("a", 10.4)
    assert mailbox.take(10.4, 0.5) is None
    assert mailbox.next_due_s() == 10.5
    assert mailbox.take(10.5, 0.5).payload == 2


def test_late_taking_does_not_shift_the_beat():
    mailbox = Mailbox(["a"])
    due_s = []
    for now_s in (10.0, 10.7, 11.1):
        post(mailbox, "a", 0)
        assert mailbox.take(now_s, 0.5) is not None
        post(mailbox, "a", 0)
        due_s.append(mailbox.next_due_s())
    assert due_s == [10.5, 11.0, 11.5]


def test_released_letter_is_due_at_once():
    mailbox = Mailbox(["a"])
    post(mailbox, "a", 1)
    mailbox.take(0.0, 1000.0)
    post(mailbox, "a", 2)
    mailbox.release()
    assert mailbox.take(0.1, 0.0).payload == 2


def test_clear_returns_what_waited():
    mailbox = Mailbox(["a", "b"])
    post(mailbox, "a", 1)
    assert [one.payload for one in mailbox.clear()] == [1]
    assert mailbox.next_due_s() is None
