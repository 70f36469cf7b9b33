"""Items by stamp."""

from proxia_segmentation_ros.ros.node.stamp_cache import StampCache


def test_item_is_found_by_its_exact_stamp():
    items: StampCache[str] = StampCache()
    items.put((1, 5), "a")
    assert items.find((1, 5)) == "a"
    assert items.find((1, 6)) is None


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
