"""What is wrong with the time of an image is told; only a limit that was set drops it."""

import itertools
from typing import Any

import pytest

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.pipeline.freshness import FROZEN_FRAMES, Freshness, StaleImage
from proxia_segmentation_ros.pipeline.sink import SharedSettings

NOW_S = 1_800_000_000


class Eye:
    """A camera whose clock, settings and pictures a test chooses."""

    def __init__(self, **inference: Any) -> None:
        flat = {f"inference.{name}": value for name, value in inference.items()}
        self.now_s: float = NOW_S
        self.steady_s = 50.0
        self.jumps: list[str] = []
        self.told: list[str] = []
        self.pictures = itertools.count(100)
        self.freshness = Freshness(
            SharedSettings(NodeSettings.from_flat(flat)),
            self.jumps.append,
            self.told.append,
            lambda: round(self.now_s * 1e9),
            clock=lambda: self.steady_s,
        )

    def look(self, age_s: float = 0.01, picture: int | None = None) -> None:
        """Show a picture of this age, a new one unless told otherwise."""
        stamp_ns = round((self.now_s - age_s) * 1e9)
        self.show((stamp_ns // 10**9, stamp_ns % 10**9), picture)

    def show(self, stamp: tuple[int, int], picture: int | None = None) -> None:
        self.freshness.check(stamp, next(self.pictures) if picture is None else picture)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.steady_s += seconds


def test_images_in_time_are_not_worth_a_word() -> None:
    eye = Eye()
    for _ in range(100):
        eye.look()
        eye.wait(0.03)
    assert (eye.told, eye.jumps, eye.freshness.recent()) == ([], [], None)


@pytest.mark.parametrize(
    ("age_s", "is_error", "words"),
    [
        (1.5, False, "image was 1.500 s old when it came"),
        (6.0, True, "image was 6.000 s old when it came"),
        (3600.0, False, "image is 3600 s old: recorded, or"),
        (-0.3, False, "image stamp is 0.300 s ahead of the clock"),
        (-7200.0, False, "image stamp is 7200.000 s ahead of the clock"),
    ],
)
def test_age_beyond_a_threshold_is_told_for_a_while(
    age_s: float, is_error: bool, words: str
) -> None:
    eye = Eye()
    eye.look(age_s)
    (sentence,) = eye.told
    assert sentence.startswith(words)
    assert eye.freshness.recent() == (is_error, sentence)
    eye.wait(6.0)
    assert eye.freshness.recent() is None


@pytest.mark.parametrize("age_s", [0.9, -0.09])
def test_age_within_the_thresholds_is_not_told(age_s: float) -> None:
    eye = Eye()
    eye.look(age_s)
    assert eye.told == []


def test_thresholds_of_0_tell_nothing() -> None:
    eye = Eye(age_warning_ms=0.0, age_error_ms=0.0)
    for age_s in (6.0, 3600.0):
        eye.look(age_s)
    assert eye.told == []


def test_only_a_limit_drops_old_images() -> None:
    Eye().look(3600.0)
    eye = Eye(max_input_age_ms=500.0)
    eye.look(0.49)
    with pytest.raises(StaleImage, match=r"image is 0\.510 s old; expected at most 500 ms"):
        eye.look(0.51)


@pytest.mark.parametrize(
    ("stamp", "text"), [((0, 0), "stamp is 0;"), ((-5, 500_000_000), "stamp is -4.5;")]
)
def test_missing_stamp_is_told_and_never_stale(stamp: tuple[int, int], text: str) -> None:
    eye = Eye(max_input_age_ms=500.0)
    eye.show(stamp)
    (sentence,) = eye.told
    assert text in sentence


def test_frozen_stamp_is_told_from_the_30th_image_on() -> None:
    eye = Eye()
    for _ in range(FROZEN_FRAMES - 1):
        eye.show((NOW_S, 0))
    assert eye.told == []
    eye.show((NOW_S, 0))
    assert eye.told[-1].startswith("the last 30 images have the same stamp")


def test_frozen_picture_is_told_until_it_changes() -> None:
    eye = Eye()
    for _ in range(FROZEN_FRAMES):
        eye.look(picture=7)
        eye.wait(0.03)
    assert eye.told[-1].startswith("the last 30 images are the same picture")
    told = len(eye.told)
    eye.look()
    assert len(eye.told) == told


def test_clock_that_never_came_or_stands_still_is_told() -> None:
    eye = Eye()
    eye.now_s = 0
    eye.show((1, 0))
    (sentence,) = eye.told
    assert "the clock is at 0, because use_sim_time is set" in sentence
    eye.now_s = 100.0
    eye.show((100, 0))
    eye.steady_s += 3.0
    eye.show((100, 1))
    assert eye.told[-1].startswith("the clock has stood still for 3 s")
    told = len(eye.told)
    eye.wait(0.1)
    eye.show((100, 2))
    assert len(eye.told) == told


def test_jump_back_is_told_as_an_event_also_without_a_clock() -> None:
    jumps: list[str] = []
    freshness = Freshness(SharedSettings(NodeSettings()), jumps.append, jumps.append, None)
    for stamp in ((10, 0), (10, 0), (2, 500_000_000), (3, 0)):
        freshness.check(stamp, 7)
    assert [jump.split(";")[0] for jump in jumps] == ["image stamps jumped back by 7.500 s"]
