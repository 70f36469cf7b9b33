"""Images seen through windows, against the same images seen whole."""

import pytest
import torch

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.evaluation.averaging import Averaging
from proxia_segmentation_ros.evaluation.windows import Windows, parse_windows


@pytest.mark.parametrize(
    ("side", "overlap", "starts"),
    [
        (16, 0.25, [0]),
        (10, 0.25, [0]),
        (20, 0.25, [0, 4]),
        (28, 0.25, [0, 12]),
        (29, 0.25, [0, 12, 13]),
        (48, 0.0, [0, 16, 32]),
        (49, 0.0, [0, 16, 32, 33]),
        (20, 0.9, [0, 1, 2, 3, 4]),
    ],
)
def test_windows_have_one_size_and_the_last_is_shifted_inward(
    side: int, overlap: float, starts: list[int]
) -> None:
    windows = Windows((16, 16), overlap)
    for size_hw, axis in (((side, 16), 0), ((16, side), 1)):
        placed = windows.place(size_hw)
        assert [window[axis].start for window in placed] == starts
        assert {window[axis].stop - window[axis].start for window in placed} == {min(side, 16)}
        assert placed[-1][axis].stop == side


def test_maps_are_means_where_windows_overlap() -> None:
    calls: list[tuple[int, ...]] = []

    def count(part_NCHW: torch.Tensor) -> torch.Tensor:
        calls.append(tuple(part_NCHW.shape))
        return torch.full((1, 2, *part_NCHW.shape[-2:]), float(10 ** (len(calls) - 1)))

    maps = Windows((16, 16), 0.25).compute_maps(count, torch.zeros(1, 3, 16, 40))
    assert calls == [(1, 3, 16, 16)] * 3
    # from 0, 12 and 24 on: 4 columns are seen twice each time
    columns = [1.0] * 12 + [5.5] * 4 + [10.0] * 8 + [55.0] * 4 + [100.0] * 12
    assert maps.shape == (1, 2, 16, 40)
    assert maps[0, 1, 5].tolist() == columns


def test_network_that_sees_pixel_by_pixel_gains_and_loses_nothing() -> None:
    image = torch.rand(1, 3, 37, 53)
    maps = Windows((16, 24), 0.5).compute_maps(lambda part: part * 2, image)
    torch.testing.assert_close(maps, image * 2)


def test_image_that_fits_goes_to_the_network_as_it_is() -> None:
    image = torch.rand(1, 3, 16, 24)
    assert Windows((16, 24), 0.25).compute_maps(lambda part: part, image) is image


def test_mirrored_and_resized_copies_are_seen_through_windows_of_one_size() -> None:
    seen: list[tuple[int, ...]] = []

    def network(part_NCHW: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(part_NCHW.shape[-2:]))
        columns = torch.arange(part_NCHW.shape[-1], dtype=torch.float32)
        return part_NCHW.mean(1, keepdim=True) + 0 * columns

    windows = Windows((16, 16), 0.0)
    averaging = Averaging(flip=True, scales=(0.5, 1.0, 2.0))
    image = torch.rand(1, 3, 16, 32)
    logits = averaging.compute_logits(lambda copy: windows.compute_maps(network, copy), image)
    # 8x16 is one window, 16x32 are two and 32x64 eight; all of it twice.
    assert seen == ([(8, 16)] + [(16, 16)] * (2 + 8)) * 2
    whole = averaging.compute_logits(lambda copy: copy.mean(1, keepdim=True), image)
    torch.testing.assert_close(logits, whole)


@pytest.mark.parametrize(
    ("text", "overlap", "sentence"),
    [
        ("wide", 0.25, "window is 'wide'"),
        ("8x64", 0.25, "window is 8x64; expected at least 16 px"),
        ("64x64", 1.0, "overlap is 1.0"),
        ("64x64", -0.1, "overlap is -0.1"),
        ("64x64", float("nan"), "overlap is nan"),
    ],
)
def test_windows_that_cannot_be_are_refused(text: str, overlap: float, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_windows(text, overlap)


def test_no_text_is_no_window() -> None:
    assert parse_windows("", 0.25) is None
    assert parse_windows("64x32", 0.5) == Windows((32, 64), 0.5)
