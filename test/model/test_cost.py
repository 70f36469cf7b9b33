"""Parameters and multiply-adds, against NVIDIA/semantic-segmentation's."""

import pytest

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.model.cost import measure_cost


@pytest.mark.parametrize(
    ("suffix", "scales", "parameters", "giga_multiply_adds"),
    [
        ("", None, 70_372_678, 162.2 / 2),
        ("_mscale", None, 72_143_430, 239.1 / 2),
        ("_mscale", (0.5, 1.0, 2.0), 72_143_430, 1004 / 2),
    ],
)
def test_cost_is_that_of_the_reference_at_256x512(
    suffix: str,
    scales: tuple[float, ...] | None,
    parameters: int,
    giga_multiply_adds: float,
) -> None:
    cost = measure_cost(f"hrnet_w48_ocr{suffix}", 19, (256, 512), scales=scales)
    assert cost.parameters == parameters
    assert cost.multiply_adds / 1e9 == pytest.approx(giga_multiply_adds, rel=5e-4)


def test_slim_heads_cost_less() -> None:
    wide = measure_cost("hrnet_w18_small_v1_ocr", 11, (64, 96))
    slim = measure_cost("hrnet_w18_small_v1_ocr", 11, (64, 96), ocr_mid=128, ocr_key=64)
    assert slim.parameters < wide.parameters
    assert slim.multiply_adds < wide.multiply_adds


def test_scales_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError):
        measure_cost("hrnet_w18_small_v1_ocr_mscale", 3, (64, 96), scales=(0.5, 2.0))
