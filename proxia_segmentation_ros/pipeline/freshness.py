"""Judges the stamps of a camera's images: too old, ahead of the clock, missing, or not changing.

A picture that is labelled late or twice looks like any other to whoever gets the labels, so
whatever is wrong with its time is told. Frames are dropped for their age where a limit is set, and
never otherwise: those of a bag that is played without `/clock` are days old.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.pipeline.sink import SharedSettings, Stamp

# Older images are recorded or from a computer with another clock; they did not get late on the way.
RECORDED_S = 600.0
FROZEN_FRAMES = 30
STOPPED_CLOCK_S = 2.0
SHOWN_S = 5.0


class StaleImage(InputError):  # noqa: N818 - as RefusedImage
    """An image that is older than `inference.max_input_age_ms`."""


class _Seen(NamedTuple):
    stamp: Stamp
    checksum: int


class Freshness:
    """Checks each image of one camera when it is decoded; called by one thread at a time.

    `now_ns` reads the clock of the stamps; without it only jumps of the stamps are noticed.
    `report_jump` is called with a sentence about each, `report` with one about each image whose
    time is wrong in another way.
    """

    def __init__(
        self,
        settings: SharedSettings,
        report_jump: Callable[[str], object],
        report: Callable[[str], object],
        now_ns: Callable[[], int] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._report_jump = report_jump
        self._report = report
        self._now_ns = now_ns
        self._clock = clock
        self._seen: _Seen | None = None
        self._same_stamps = self._same_pictures = 1
        # The last reading that differed from the one before, and when that was.
        self._ticked: tuple[int, float] | None = None
        self._problem: tuple[float, bool, str] | None = None

    def check(self, stamp: Stamp, checksum: int) -> None:
        """Report what is wrong with the time of an image; its checksum is that of its picture.

        Raises:
            StaleImage: it is older than `inference.max_input_age_ms`.
        """
        before, self._seen = self._seen, _Seen(stamp, checksum)
        if before is not None and stamp < before.stamp:
            self._report_jump(_tell_jump(before.stamp, stamp))
        if self._now_ns is None:
            return
        self._count_same(before, self._seen)
        now_ns = self._now_ns()
        for sentence in (*self._judge_clock(now_ns), *self._judge_change()):
            self._note(sentence)
        if now_ns == 0:
            return
        if stamp <= (0, 0):
            self._note(
                f"image stamp is {_to_text(stamp)}; expected the time of the picture; its age is "
                "not known and nothing can be paired with it: have the driver set the stamp"
            )
            return
        self._judge_age((now_ns - stamp[0] * 10**9 - stamp[1]) / 1e9)

    def recent(self) -> tuple[bool, str] | None:
        """Return what was wrong with the newest image of the last 5 s, and whether it is an error.

        It is one where images are older than `inference.age_error_ms`.
        """
        problem = self._problem
        return None if problem is None or self._clock() - problem[0] > SHOWN_S else problem[1:]

    def _note(self, sentence: str, is_error: bool = False) -> None:
        self._problem = self._clock(), is_error, sentence
        self._report(sentence)

    def _count_same(self, before: _Seen | None, now: _Seen) -> None:
        is_same_stamp = before is not None and before.stamp == now.stamp
        is_same_picture = before is not None and before.checksum == now.checksum
        self._same_stamps = self._same_stamps + 1 if is_same_stamp else 1
        self._same_pictures = self._same_pictures + 1 if is_same_picture else 1

    def _judge_clock(self, now_ns: int) -> Iterator[str]:
        now_s = self._clock()
        if self._ticked is None or self._ticked[0] != now_ns:
            self._ticked = now_ns, now_s
        stopped_s = now_s - self._ticked[1]
        if now_ns == 0:
            yield (
                "the clock is at 0, because use_sim_time is set and no /clock came; expected one; "
                "publish it (ros2 bag play --clock), or set use_sim_time to false"
            )
        elif stopped_s > STOPPED_CLOCK_S:
            yield (
                f"the clock has stood still for {stopped_s:.0f} s while images came; expected it "
                "to go on; look at what publishes /clock"
            )

    def _judge_change(self) -> Iterator[str]:
        if self._same_stamps >= FROZEN_FRAMES:
            yield (
                f"the last {self._same_stamps} images have the same stamp; expected a new one for "
                "each; the camera or its driver may be frozen"
            )
        elif self._same_pictures >= FROZEN_FRAMES:
            yield (
                f"the last {self._same_pictures} images are the same picture; expected them to "
                "change at least by noise; the camera may be frozen"
            )

    def _judge_age(self, age_s: float) -> None:
        limits = self._settings.value.inference
        if 0 < limits.max_input_age_ms < 1e3 * age_s:
            raise StaleImage(
                f"image is {age_s:.3f} s old; expected at most {limits.max_input_age_ms:g} ms "
                "(inference.max_input_age_ms); find what delays it, synchronise the clocks, or "
                "raise the limit"
            )
        if 1e3 * age_s < -limits.future_tolerance_ms:
            self._note(
                f"image stamp is {-age_s:.3f} s ahead of the clock; expected at most "
                f"{limits.future_tolerance_ms:g} ms (inference.future_tolerance_ms); synchronise "
                "the clocks (chrony, PTP)"
            )
        elif age_s > RECORDED_S:
            if limits.age_warning_ms > 0:
                self._note(
                    f"image is {age_s:.0f} s old: recorded, or of a computer with another clock; "
                    "expected the time of now; play bags with --clock and set use_sim_time, or "
                    "synchronise the clocks"
                )
        elif 0 < limits.age_warning_ms < 1e3 * age_s:
            sentence = (
                f"image was {age_s:.3f} s old when it came; expected at most "
                f"{limits.age_warning_ms:g} ms (inference.age_warning_ms); find what delays it"
            )
            self._note(sentence, is_error=0 < limits.age_error_ms < 1e3 * age_s)


def _to_text(stamp: Stamp) -> str:
    return f"{stamp[0] + stamp[1] / 1e9:.9f}".rstrip("0").rstrip(".")


def _tell_jump(before: Stamp, stamp: Stamp) -> str:
    jump_s = before[0] - stamp[0] + (before[1] - stamp[1]) / 1e9
    return (
        f"image stamps jumped back by {jump_s:.3f} s; expected time to go on; nothing to do when a "
        "bag or simulation started over"
    )
