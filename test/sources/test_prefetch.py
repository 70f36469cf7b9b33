import itertools
import threading

import pytest

from proxia_segmentation_ros.sources.prefetch import Prefetcher


def test_items_come_in_order():
    prefetcher = Prefetcher(range(100), count_bytes=lambda _: 1, max_bytes=10)
    assert list(prefetcher) == list(range(100))


def test_making_stops_when_the_room_is_full():
    made = []

    def make():
        for number in itertools.count():
            made.append(number)
            yield number

    prefetcher = Prefetcher(make(), count_bytes=lambda _: 10, max_bytes=50)
    assert prefetcher.wait_until_full(10)
    assert prefetcher.queued == 5
    # One more was made before there was no room for it.
    assert len(made) == 6
    prefetcher.close()


def test_taking_makes_room():
    prefetcher = Prefetcher(itertools.count(), count_bytes=lambda _: 10, max_bytes=50)
    taken = list(itertools.islice(prefetcher, 1000))
    prefetcher.close()
    assert taken == list(range(1000))


def test_two_items_fit_however_large():
    prefetcher = Prefetcher(itertools.count(), count_bytes=lambda _: 1000, max_bytes=1)
    assert prefetcher.wait_until_full(10)
    assert prefetcher.queued == 2
    prefetcher.close()


def test_error_of_the_making_is_raised_after_what_was_made():
    def make():
        yield 1
        raise ValueError("no second")

    items = iter(Prefetcher(make(), count_bytes=lambda _: 1, max_bytes=10))
    assert next(items) == 1
    with pytest.raises(ValueError, match="no second"):
        next(items)


def test_close_ends_the_thread():
    prefetcher = Prefetcher(itertools.count(), count_bytes=lambda _: 10, max_bytes=20)
    prefetcher.wait_until_full(10)
    prefetcher.close()
    assert "prefetch" not in [thread.name for thread in threading.enumerate()]


def test_what_was_made_can_be_taken_after_the_making_stopped():
    prefetcher = Prefetcher(itertools.count(), count_bytes=lambda _: 10, max_bytes=50)
    assert prefetcher.wait_until_full(10)
    prefetcher.stop_producing()
    taken = list(prefetcher)
    assert taken == list(range(len(taken)))
    assert len(taken) >= 5


def test_live_items_are_made_when_the_first_is_asked_for():
    made = []

    def make():
        for number in itertools.count():
            made.append(number)
            yield number

    prefetcher = Prefetcher(make(), count_bytes=lambda _: 10, max_bytes=1, is_live=True)
    assert prefetcher.is_producing
    assert made == []
    assert next(iter(prefetcher)) == 0
    prefetcher.close()


def test_live_items_that_nobody_asked_for_need_no_end():
    prefetcher = Prefetcher(itertools.count(), count_bytes=lambda _: 1, max_bytes=1, is_live=True)
    prefetcher.close()
    assert prefetcher.queued == 0
