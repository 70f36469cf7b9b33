"""A segmenter is changed for a better one, and not for a wrong one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from fake_segmenter import MARK, FakeSegmenter, MarkedSegmenter
from robot import make_scene

from proxia_segmentation_ros.config import NodeSettings
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.inference.swappable_segmenter import FrameUse, SwappableSegmenter
from proxia_segmentation_ros.pipeline.sink import SharedSettings
from proxia_segmentation_ros.pipeline.stream import SegmentFrames


def test_uses_of_late_are_remembered_the_newest_last() -> None:
    swappable = SwappableSegmenter(FakeSegmenter())
    large, small = make_scene(0, (96, 128)), make_scene(0, (48, 64))
    swappable.segment(large)
    swappable.segment_many([small, large], [True, False], output_size="32x24")
    swappable.segment(large)
    swappable.segment(small, min_confidence=0.5)
    assert swappable.uses == (
        FrameUse((48, 64), True, "32x24"),
        FrameUse((96, 128), False, "32x24"),
        FrameUse((96, 128), False, "input"),
        FrameUse((48, 64), True, "input"),
    )
    for side in range(20, 40):
        swappable.segment(make_scene(0, (side, side)))
    assert [use.size_hw[0] for use in swappable.uses] == list(range(32, 40))


def test_swap_frees_the_old_one() -> None:
    first, better = FakeSegmenter(), MarkedSegmenter()
    swappable = SwappableSegmenter(first)
    swappable.segment(make_scene(0))
    swappable.swap(better)
    assert (first.is_closed, better.is_closed) == (True, False)
    assert swappable.backend == "marked"
    (found,) = swappable.segment_many([make_scene(0)], [False])
    assert found.labels[0, 0] == MARK


def test_rounds_grow_with_an_engine_that_takes_more_frames_but_one_call_at_a_time() -> None:
    swappable = SwappableSegmenter(FakeSegmenter(lanes=2))
    settings = SharedSettings(NodeSettings.from_flat({}))
    segment = SegmentFrames(swappable, settings)
    assert segment.find_capacity() == (1, 2)
    swappable.swap(MarkedSegmenter(largest_batch=4))
    assert segment.find_capacity() == (4, 1)


@pytest.mark.parametrize("has_seen_a_frame", [True, False])
def test_engine_with_other_labels_is_not_taken(has_seen_a_frame: bool) -> None:
    class WrongSegmenter(FakeSegmenter):
        def segment(self, *arguments: Any, **options: Any) -> Any:
            found = super().segment(*arguments, **options)
            found.labels[: len(found.labels) // 2] = MARK
            return found

    first = FakeSegmenter()
    swappable = SwappableSegmenter(first)
    if has_seen_a_frame:
        swappable.segment(make_scene(0))
    name = "a frame" if has_seen_a_frame else "a drawn picture"
    with pytest.raises(BackendError, match=rf"surest of in {name}, fake labels only 50\.0 %"):
        swappable.swap(WrongSegmenter())
    assert not first.is_closed
    assert swappable.backend == "fake"


class GuessingSegmenter(FakeSegmenter):
    """Guesses two rows of five in the dark."""

    guess = 0

    def segment(self, image_HWC: np.ndarray, *arguments: Any, **options: Any) -> Any:
        found = super().segment(image_HWC, *arguments, **options)
        if image_HWC.max() < 20:
            rows = len(found.labels) * 2 // 5
            found.labels[:rows] = self.guess
            if found.confidence is not None:
                found.confidence[:rows] = 40
        return found


def test_guesses_in_the_dark_do_not_cost_a_sound_engine() -> None:
    first, better = GuessingSegmenter(), GuessingSegmenter()
    better.guess = MARK
    swappable = SwappableSegmenter(first)
    swappable.segment(np.zeros((96, 128, 3), np.uint8))
    swappable.swap(better)
    assert first.is_closed


def test_engine_that_is_wrong_is_not_taken_where_the_old_one_is_sure_of_nothing() -> None:
    first, wrong = UnsureSegmenter(), UnsureSegmenter(addend=1)
    swappable = SwappableSegmenter(first)
    swappable.segment(make_scene(0))
    with pytest.raises(BackendError, match=r"in a frame, fake labels only 0\.0 %"):
        swappable.swap(wrong)
    swappable.swap(UnsureSegmenter())
    assert first.is_closed


@dataclass
class UnsureSegmenter(FakeSegmenter):
    addend: int = 0

    def segment(self, *arguments: Any, **options: Any) -> Any:
        found = super().segment(*arguments, **options)
        found.labels[:] += self.addend
        if found.confidence is not None:
            found.confidence[:] = 100
        return found


def test_engine_that_is_wrong_is_not_taken_in_the_dark_either() -> None:
    class BlindSegmenter(FakeSegmenter):
        def segment(self, *arguments: Any, **options: Any) -> Any:
            found = super().segment(*arguments, **options)
            found.labels[:] = 0
            return found

    first = FakeSegmenter()
    swappable = SwappableSegmenter(first)
    swappable.segment(np.zeros((96, 128, 3), np.uint8))
    with pytest.raises(BackendError, match="in a drawn picture, fake labels only"):
        swappable.swap(BlindSegmenter())
    assert not first.is_closed
