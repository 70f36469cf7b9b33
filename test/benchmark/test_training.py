"""What our training step saves."""

import pytest

from proxia_segmentation_ros.benchmark.training import (
    TrainingBenchmarkSettings,
    make_timed_recipe,
    run_training_benchmark,
    summarize_training_rounds,
)

SMALL = (
    "model.ocr_mid=8",
    "model.ocr_key=4",
    "augmentation.crop_hw=[32, 48]",
    "data.synthetic_size_hw=[40, 60]",
    "batch_size=2",
    "threads=1",
)


def test_ratio_is_the_median_of_the_rounds() -> None:
    recipe = make_timed_recipe(TrainingBenchmarkSettings(overrides=SMALL))
    figures = summarize_training_rounds(recipe, [0.5, 0.5, 1.0], [1.0, 1.5, 9.0])
    assert figures["times_faster"] == 3.0
    assert figures["step_s"] == {"ours": 0.5, "plain": 1.5}
    assert (figures["crop"], figures["batch_size"]) == ("48x32", 2)


def test_recipe_neither_validates_nor_ends_while_it_is_timed() -> None:
    settings = TrainingBenchmarkSettings(overrides=SMALL, rounds=3, steps=4)
    recipe = make_timed_recipe(settings)
    assert min(recipe.steps, recipe.validate_every, recipe.save_every) > 16


@pytest.mark.slow
def test_both_are_trained_round_by_round(progress) -> None:
    settings = TrainingBenchmarkSettings(overrides=SMALL, rounds=2, steps=1)
    figures = run_training_benchmark(settings, progress)
    assert progress.steps == progress.total == 3
    assert len(figures["rounds"]) == 2
    assert min(figures["step_s"].values()) > 0


def test_recipe_is_timed_on_the_cpu() -> None:
    assert make_timed_recipe(TrainingBenchmarkSettings(overrides=SMALL)).device == "cpu"


@pytest.mark.parametrize("field", ["data.root", "model.colour"])
def test_wrong_recipe_is_refused_before_anything_runs(field: str, progress) -> None:
    from proxia_segmentation_ros.errors import ProxiaError

    settings = TrainingBenchmarkSettings(recipe="camvid", overrides=(f"{field}=/no/such",))
    with pytest.raises(ProxiaError):
        run_training_benchmark(settings, progress)
