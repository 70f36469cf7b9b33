"""Recent values are kept while their bytes and their number fit."""

from proxia_segmentation_ros.backends.kept import Kept


def make_kept(max_bytes: int = 100, max_count: int = 3) -> Kept[str, str]:
    return Kept(max_bytes, max_count)


def list_kept(kept: Kept[str, str], *keys: str) -> str:
    return "".join(key for key in keys if kept.get(key))


def test_oldest_goes_when_there_are_too_many() -> None:
    kept = make_kept()
    for key in "abcd":
        kept.put(key, key, 1)
    assert list_kept(kept, *"abcd") == "bcd"


def test_oldest_go_when_the_bytes_do_not_fit() -> None:
    kept = make_kept()
    kept.put("a", "a", 40)
    kept.put("b", "b", 40)
    kept.put("c", "c", 60)
    assert list_kept(kept, *"abc") == "bc"


def test_used_value_is_not_the_oldest() -> None:
    kept = make_kept(max_count=2)
    kept.put("a", "a", 1)
    kept.put("b", "b", 1)
    assert kept.get("a") == "a"
    kept.put("c", "c", 1)
    assert list_kept(kept, *"abc") == "ac"


def test_newest_is_kept_whatever_it_takes_and_goes_with_the_next() -> None:
    kept = make_kept()
    kept.put("a", "a", 10)
    kept.put("huge", "huge", 1000)
    assert list_kept(kept, "a", "huge") == "huge"
    kept.put("b", "b", 10)
    assert list_kept(kept, "huge", "b") == "b"


def test_room_is_made_before_a_value() -> None:
    kept = make_kept()
    kept.put("a", "a", 60)
    kept.make_room(60)
    assert kept.get("a") is None


def test_cleared_store_is_empty() -> None:
    kept = make_kept()
    kept.put("a", "a", 1)
    kept.clear()
    assert kept.get("a") is None
