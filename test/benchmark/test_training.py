"""What our training step saves."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from proxia_segmentation_ros.benchmark.training import (
    TrainingBenchmarkSettings,
    make_timed_recipe,
    run_training_benchmark,
    summarize_training_rounds,
)
from proxia_segmentation_ros.benchmark.workers.plain_training import (
    PlainTraining,
    PlainTrainingProcess,
)
from proxia_segmentation_ros.data.sampling.mixture import PairMixture
from proxia_segmentation_ros.errors import BackendError
from proxia_segmentation_ros.labels import load_label_set
from proxia_segmentation_ros.model.network.hrnet_ocr import Outputs
from proxia_segmentation_ros.training.session import make_trainer
from proxia_segmentation_ros.training.trainer import make_objective

SMALL = (
    "model.ocr_mid=8",
    "model.ocr_key=4",
    "augmentation.crop_hw=[32, 48]",
    "data.synthetic_size_hw=[40, 60]",
    "batch_size=2",
    "threads=1",
)


class SilentProgress:
    def __init__(self) -> None:
        self.steps = 0

    def begin(self, text: str, total: int | None = None) -> None:
        self.total = total

    def advance(self) -> None:
        self.steps += 1


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


def test_both_are_trained_round_by_round() -> None:
    progress = SilentProgress()
    settings = TrainingBenchmarkSettings(overrides=SMALL, rounds=2, steps=1)
    figures = run_training_benchmark(settings, progress)
    assert progress.steps == progress.total == 3
    assert len(figures["rounds"]) == 2
    assert min(figures["step_s"].values()) > 0


@pytest.mark.parametrize("accumulate", [1, 3])
def test_both_draw_the_same_number_of_pairs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, accumulate: int
) -> None:
    drawn: list[int] = []
    draw = PairMixture.__getitem__

    def count(mixture: PairMixture, index: int) -> tuple[np.ndarray, np.ndarray]:
        drawn.append(index)
        return draw(mixture, index)

    overrides = (*SMALL, f"accumulate={accumulate}", "optimiser.class_balance=0")
    recipe = make_timed_recipe(TrainingBenchmarkSettings(overrides=overrides))
    monkeypatch.setattr(PairMixture, "__getitem__", count)
    PlainTraining(recipe).time_steps(2)
    make_trainer(recipe, tmp_path, lambda _row: None).run(stop_step=2, saves_at_stop=False)
    assert sorted(drawn) == sorted([*range(4 * accumulate)] * 2)


@pytest.mark.parametrize("setting", ["jaccard_weight=0", "jaccard_weight=1", "loss=rmi"])
def test_plain_loss_is_that_of_our_training(setting: str) -> None:
    overrides = (*SMALL, "optimiser.class_balance=0", f"optimiser.{setting}")
    recipe = make_timed_recipe(TrainingBenchmarkSettings(overrides=overrides))
    plain = PlainTraining(recipe)
    logits, aux_logits = torch.randn(2, 1, 11, 16, 24)
    labels = torch.randint(0, 11, (1, 16, 24))
    labels[0, 3:5] = 255
    outputs = Outputs(logits, aux_logits, {}, {})
    ours = make_objective(recipe.optimiser, load_label_set("camvid"), None)(outputs, labels)
    assert float(plain.score(outputs, labels)) == pytest.approx(float(ours), rel=1e-5)


def test_plain_training_that_dies_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    recipe = make_timed_recipe(TrainingBenchmarkSettings(overrides=SMALL))
    model = recipe.model.model_copy(update={"architecture": "none"})
    broken = recipe.model_copy(update={"model": model})
    with PlainTrainingProcess(broken, os.environ) as plain:
        for _ in range(2):
            with pytest.raises(BackendError, match="plain training ended with 1"):
                plain.time_steps(1)
    assert "architecture is 'none'" in capfd.readouterr().err


def test_recipe_is_timed_on_the_cpu() -> None:
    assert make_timed_recipe(TrainingBenchmarkSettings(overrides=SMALL)).device == "cpu"


def test_plain_training_changes_the_network() -> None:
    plain = PlainTraining(make_timed_recipe(TrainingBenchmarkSettings(overrides=SMALL)))
    before = [parameter.detach().clone() for parameter in plain.network.parameters()]
    plain.time_steps(1)
    after = list(plain.network.parameters())
    changed = [not one.equal(two) for one, two in zip(before, after, strict=True)]
    assert sum(changed) > 0.9 * len(changed)


@pytest.mark.parametrize("field", ["data.root", "model.colour"])
def test_wrong_recipe_is_refused_before_anything_runs(field: str) -> None:
    from proxia_segmentation_ros.errors import ProxiaError

    settings = TrainingBenchmarkSettings(recipe="camvid", overrides=(f"{field}=/no/such",))
    with pytest.raises(ProxiaError):
        run_training_benchmark(settings, SilentProgress())
