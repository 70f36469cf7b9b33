"""Variants in processes of their own, without DDS."""

import pytest

from proxia_segmentation_ros.benchmark.local import RoundSettings, run_local_benchmark
from proxia_segmentation_ros.benchmark.variant import Variant, parse_variant
from proxia_segmentation_ros.benchmark.workers.variant_worker import BenchmarkImages
from proxia_segmentation_ros.errors import WeightsError

IMAGES = BenchmarkImages(size_hw=(48, 64), count=2)


@pytest.mark.slow
def test_two_variants_are_measured_in_one_report(progress) -> None:
    model, other = (
        parse_variant(text, kind="model", defaults={"weights": "synthetic"})
        for text in ("size=64x48,precision=f32", "eager,size=64x48,threads=1")
    )
    settings = RoundSettings(rates_hz=(0.0, 20.0), rounds=2, seconds=0.1, images=IMAGES)
    report = run_local_benchmark("model", model, other, settings, progress)
    custom = report["custom"]
    assert custom["subject"]["backend"] == "openvino"
    assert custom["against"]["subject"]["backend"] == "torch-eager"
    assert custom["against"]["subject"]["threads"] == 1
    rates = custom["ratios"]["peak"]["BasicPerformanceMetrics.MEAN_FRAME_RATE"]["rounds"]
    assert len(rates) == 2
    for figures in (report, custom["against"]):
        assert figures["20.0fps"]["BasicPerformanceMetrics.NUM_FRAMES_SENT"] == 4
        assert figures["ProxiaMetrics.STAGE_INFER"] > 0
        assert figures["ProxiaMetrics.MAX_PROCESS_MEMORY"] > 20


@pytest.mark.slow
def test_one_variant_has_no_baseline(progress) -> None:
    variant = parse_variant("size=64x48", kind="model", defaults={"weights": "synthetic"})
    settings = RoundSettings(rounds=1, seconds=0.1, images=IMAGES)
    report = run_local_benchmark("model", variant, None, settings, progress)
    assert report["BasicPerformanceMetrics.NUM_FRAMES_SENT"] >= 2
    assert not {"against", "ratios"} & set(report["custom"])
    assert progress.steps == progress.total == 1


def test_missing_weights_are_an_error_before_anything_starts(progress, monkeypatch) -> None:
    monkeypatch.setattr("subprocess.Popen", None)
    variant = Variant(name="a", kind="model", weights="/no/such.safetensors")
    with pytest.raises(WeightsError):
        run_local_benchmark("model", variant, None, RoundSettings(), progress)


def test_settings_are_described_as_in_reports() -> None:
    described = RoundSettings(rates_hz=(0.0, 5.0), rounds=2, images=IMAGES).describe()
    assert (described["size"], described["images"]) == ("64x48", 2)
    assert (described["rates_hz"], described["rounds"]) == ([0.0, 5.0], 2)
