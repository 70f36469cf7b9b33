"""What an image may measure, before anything is allocated for it."""

from typing import Any

import pytest

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.limits import (
    MIN_SIDE_PX,
    RefusedImage,
    check_rows,
    check_size,
    quote,
)


@pytest.mark.parametrize(
    ("size_wh", "sentence"),
    [
        ((0, 40), r"image is empty \(0x40\)"),
        ((40, 0), r"image is empty \(40x0\)"),
        ((MIN_SIDE_PX - 1, 40), r"image is too small \(15x40\).*at least 16 px"),
        ((40, MIN_SIDE_PX - 1), r"image is too small \(40x15\)"),
        ((40, 51), r"image is too large \(40x51 = 2040 pixels\).*at most 2000"),
    ],
)
def test_sides_and_pixels_have_limits(size_wh: tuple[int, int], sentence: str) -> None:
    with pytest.raises(RefusedImage, match=sentence):
        check_size(*size_wh, max_pixels=2000)


def test_limits_themselves_are_allowed() -> None:
    check_size(MIN_SIDE_PX, MIN_SIDE_PX, max_pixels=MIN_SIDE_PX**2)
    check_size(40, 50, max_pixels=2000)
    check_rows(150, height=5, step=30, min_step=30, encoding="rgb8")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"step": 29}, "step 29 is too small for 'rgb8'.*at least 30 bytes"),
        ({"num_bytes": 149}, r"too short \(149 bytes\).*30 \* 5 = 150 bytes"),
    ],
)
def test_buffer_holds_every_row(changes: dict[str, Any], sentence: str) -> None:
    rows = {"num_bytes": 150, "height": 5, "step": 30, "min_step": 30, "encoding": "rgb8"}
    with pytest.raises(InputError, match=sentence):
        check_rows(**{**rows, **changes})


def test_quoted_names_stay_short() -> None:
    assert quote("rgb8") == "'rgb8'"
    assert len(quote("x" * 2_000_000)) <= 60
