import pytest

from proxia_segmentation_ros.benchmark.soak import (
    MemoryReading,
    SoakSettings,
    describe_growth,
    soak_node,
    soak_variant,
)
from proxia_segmentation_ros.benchmark.variant import parse_variant
from proxia_segmentation_ros.benchmark.workers.variant_worker import BenchmarkImages
from proxia_segmentation_ros.errors import ConfigError

IMAGES = BenchmarkImages(size_hw=(48, 64), count=2)
PARAMETERS = {"model.weights": "synthetic", "inference.size": "64x48"}


def read(*memory_mib):
    return [
        MemoryReading(frames=500 * number, memory_mib=value)
        for number, value in enumerate(memory_mib)
    ]


def test_growth_compares_the_end_with_the_first_reading():
    memory = describe_growth(read(200.0, 300.0, 205.0, 210.0))
    assert memory["growth_percent"] == pytest.approx(5.0)
    assert (memory["start_mib"], memory["end_mib"], memory["highest_mib"]) == (200, 210, 300)
    assert memory["curve"][1] == [500, 300.0]


def test_single_spike_at_the_end_is_no_growth():
    memory = describe_growth(read(100.0, *[101.0] * 39, 150.0))
    assert memory["growth_percent"] == pytest.approx(1.0)
    assert memory["highest_mib"] == 150.0


@pytest.mark.slow
def test_variant_is_soaked_in_a_process_of_its_own(progress):
    settings = SoakSettings(
        frames=6, warm_up=2, every=3, images=BenchmarkImages(size_hw=(48, 64), count=2)
    )
    variant = parse_variant("weights=synthetic,size=64x48", kind="pipeline", defaults={})
    report = soak_variant(variant, settings, progress)
    assert report["BasicPerformanceMetrics.NUM_FRAMES_SENT"] == 6
    assert [frames for frames, _ in report["custom"]["memory"]["curve"]] == [0, 3, 6]
    assert report["custom"]["memory"]["start_mib"] > 20


def test_one_reading_is_no_curve(progress):
    variant = parse_variant("weights=synthetic", kind="model", defaults={})
    with pytest.raises(ConfigError, match="frames are 10"):
        soak_variant(variant, SoakSettings(frames=10, every=500), progress)


@pytest.mark.slow
def test_node_is_soaked(ros_domain, progress):
    settings = SoakSettings(frames=6, warm_up=3, every=3, rate_hz=5.0, images=IMAGES)
    report = soak_node(PARAMETERS, settings, progress)
    curve = report["custom"]["memory"]["curve"]
    assert curve[0][0] == 0
    assert curve[-1][0] >= 6
    assert curve[0][1] > 20
