"""Items by stamp."""

import threading

from proxia_segmentation_ros.ros.node.stamp_cache import StampCache


def test_item_is_found_by_its_exact_stamp():
    items: StampCache[str] = StampCache()
    items.put((1, 5), "a")
    assert items.find((1, 5)) == "a"
    assert items.find((1, 6)) is None


def test_nearest_within_the_tolerance_is_found() -> None:
    items: StampCache[str] = StampCache()
    items.put((1, 0), "a")
    items.put((1, 40_000_000), "b")
    assert items.find((1, 1_000), 50_000_000) == "a"
    assert items.find((1, 30_000_000), 50_000_000) == "b"
    assert items.find((0, 999_999_000), 1_000) == "a"
    assert items.find((0, 999_999_000), 999) is None
    assert items.find_lag_ns((1, 45_000_000)) == -5_000_000
    assert StampCache().find_lag_ns((1, 0)) is None


def test_item_on_its_way_is_waited_for() -> None:
    items: StampCache[str] = StampCache()
    items.put((1, 0), "near")
    late = threading.Timer(0.1, lambda: items.put((1, 20_000_000), "nearer"))
    late.start()
    assert items.find((1, 20_000_000), 50_000_000, wait_s=10.0) == "nearer"
    late.join()
    assert items.find((1, 30_000_000), 50_000_000, wait_s=0.01) == "nearer"


def test_silence_counts_from_the_last_item() -> None:
    items: StampCache[str] = StampCache()
    assert items.silence_s() is None
    items.put((1, 0), "a")
    silence_s = items.silence_s()
    assert silence_s is not None
    assert 0 <= silence_s < 60


def test_newest_is_the_last_one():
    items: StampCache[str] = StampCache()
    assert items.newest() is None
    items.put((1, 0), "a")
    items.put((2, 0), "b")
    assert items.newest() == "b"


def test_oldest_is_dropped_when_full():
    items: StampCache[int] = StampCache(capacity=2)
    for second in (1, 2, 3):
        items.put((second, 0), second)
    assert items.find((1, 0)) is None
    assert items.find((2, 0)) == 2


def test_time_that_jumps_back_starts_anew():
    items: StampCache[str] = StampCache()
    items.put((9, 0), "of the last lap")
    items.put((1, 0), "a")
    assert items.find((9, 0)) is None
    assert items.newest() == "a"
