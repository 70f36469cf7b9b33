"""Plain PyTorch training draws, scores and learns as our training does."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from proxia_segmentation_ros.benchmark.training import TrainingBenchmarkSettings, make_timed_recipe
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


def test_plain_training_changes_the_network() -> None:
    plain = PlainTraining(make_timed_recipe(TrainingBenchmarkSettings(overrides=SMALL)))
    before = [parameter.detach().clone() for parameter in plain.network.parameters()]
    plain.time_steps(1)
    after = list(plain.network.parameters())
    changed = [not old.equal(new) for old, new in zip(before, after, strict=True)]
    assert sum(changed) > 0.9 * len(changed)
