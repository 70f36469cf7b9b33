"""Lines of the log that repeat are held back."""

import pytest

from proxia_segmentation_ros.ros.node.throttled_log import (
    LOG_PERIOD_S,
    MAX_KINDS,
    MAX_LENGTH,
    ThrottledLog,
)


class Ledge:
    """A log and a clock to move by hand."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now_s = 100.0
        self.throttled_log = ThrottledLog(self.lines.append, clock=lambda: self.now_s)


@pytest.fixture
def ledge() -> Ledge:
    return Ledge()


def test_sentences_that_differ_in_numbers_alone_are_logged_once(ledge):
    assert ledge.throttled_log.add("step 100 is too small")
    assert not ledge.throttled_log.add("step 101 is too small")
    assert ledge.lines == ["step 100 is too small"]
    assert ledge.throttled_log.count == 2


def test_other_kind_is_logged_at_once(ledge):
    ledge.throttled_log.add("step 100 is too small")
    ledge.throttled_log.add("unknown encoding")
    assert ledge.lines == ["step 100 is too small", "unknown encoding"]


def test_next_line_of_a_kind_says_how_many_were_left_out(ledge):
    for _ in range(4):
        ledge.throttled_log.add("bad")
    ledge.now_s += LOG_PERIOD_S + 0.1
    ledge.throttled_log.add("bad")
    assert ledge.lines == ["bad", "bad (3 more of this kind before)"]


def test_ever_new_sentences_do_not_flood_the_log(ledge):
    for number in range(1000):
        ledge.throttled_log.add("encoding " + "x" * number)
    assert len(ledge.lines) == MAX_KINDS
    assert ledge.throttled_log.count == 1000


def test_recent_message_fades_and_the_last_one_stays(ledge):
    ledge.throttled_log.add("bad")
    assert ledge.throttled_log.recent == "bad"
    ledge.now_s += LOG_PERIOD_S + 0.1
    assert ledge.throttled_log.recent is None
    assert ledge.throttled_log.last == "bad"


def test_sentence_is_one_line_of_bounded_length(ledge):
    ledge.throttled_log.add("a\nb " + "c" * 10_000)
    assert ledge.lines[0].startswith("a b ccc")
    assert len(ledge.lines[0]) == MAX_LENGTH
