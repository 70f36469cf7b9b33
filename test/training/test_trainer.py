"""The training loop on a network of a few channels."""

import functools
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

from proxia_segmentation_ros.data.augmentation.augment import AugmentationSettings
from proxia_segmentation_ros.data.sampling.mixture import Pair, PairMixture, Source
from proxia_segmentation_ros.errors import ConfigError, WeightsError
from proxia_segmentation_ros.labels import LabelClass, LabelSet
from proxia_segmentation_ros.model.network.hrnet_ocr import build_model
from proxia_segmentation_ros.training import trainer as training
from proxia_segmentation_ros.training.logs.run_log import Report
from proxia_segmentation_ros.training.losses.objective import Objective
from proxia_segmentation_ros.training.recipe import OptimiserSettings, Recipe
from proxia_segmentation_ros.training.trainer import Trainer, make_average, make_optimiser

STEPS = 6
TWO_CLASSES = LabelSet(
    name="halves",
    classes=(
        LabelClass(id=0, name="dark", rgb=(0, 0, 0)),
        LabelClass(id=1, name="bright", rgb=(255, 255, 255)),
    ),
)


def draw_halves(rng: np.random.Generator) -> Pair:
    """Paint a dark and a bright half: a task that any network learns."""
    labels_HW = np.zeros((48, 48), np.uint8)
    labels_HW[:, int(rng.integers(12, 36)) :] = 1
    image_HWC = np.where(labels_HW[..., None] == 1, 220, 30).astype(np.uint8)
    return np.repeat(image_HWC, 3, axis=2), labels_HW


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep threads from waiting for each other over arrays this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_trainer(
    folder: Path,
    *,
    steps: int = STEPS,
    side: int = 32,
    batch_size: int = 2,
    optimiser: OptimiserSettings | None = None,
    accumulate: int = 1,
    precision: Literal["f32", "f16"] = "f32",
    report: Report = lambda row: None,
) -> Trainer:
    crop = AugmentationSettings(crop_hw=(side, side), scale_min=0.8, scale_max=1.2)
    recipe = Recipe(
        augmentation=crop,
        optimiser=optimiser or OptimiserSettings(warmup_steps=4),
        steps=steps,
        batch_size=batch_size,
        accumulate=accumulate,
        validate_every=3,
        save_every=2,
        precision=precision,
    )
    pairs = PairMixture(
        [Source(name="halves", weight=1, draw=draw_halves)], crop, seed=4, unlabeled_id=255
    )
    torch.manual_seed(0)
    model = build_model("hrnet_w18_small_v1_ocr", 2, ocr_mid=8, ocr_key=4)
    scores = itertools.chain([0.3, 0.2, 0.1, 0.05], itertools.repeat(0.0))

    def validate(network: nn.Module) -> dict[str, Any]:
        assert not network.training
        return {"val_miou": next(scores)}

    return Trainer(
        model,
        pairs,
        recipe,
        folder,
        validate=validate,
        label_set=TWO_CLASSES,
        report=report,
    )


def load_last(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "last.pt", weights_only=True)
    return state


@pytest.mark.slow
def test_interrupted_run_reaches_the_same_weights(tmp_path: Path) -> None:
    whole = make_trainer(tmp_path / "whole")
    whole.run()
    make_trainer(tmp_path / "parts").run(stop_step=3)
    resumed = make_trainer(tmp_path / "parts")
    resumed.resume()
    assert resumed.step == 3
    resumed.run()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name


@pytest.mark.slow
def test_interrupted_run_of_float16_keeps_the_scale_of_its_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Too large for float16: the first steps are skipped and lower it.
    too_large = functools.partial(torch.amp.GradScaler, init_scale=2.0**24)
    monkeypatch.setattr(torch.amp, "GradScaler", too_large)
    whole = make_trainer(tmp_path, precision="f16")
    whole.run(stop_step=3)
    assert load_last(tmp_path)["scaler"]["scale"] < 2.0**24
    # Begun with the too large scale again, it would skip steps that the whole run took.
    resumed = make_trainer(tmp_path, precision="f16")
    resumed.resume()
    whole.run()
    scale_at_end = load_last(tmp_path)["scaler"]["scale"]
    resumed.run()
    assert load_last(tmp_path)["scaler"]["scale"] == scale_at_end
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
        assert tensor.isfinite().all()


def test_checkpoint_at_a_stop_is_left_away_on_request(tmp_path: Path) -> None:
    make_trainer(tmp_path).run(stop_step=1, saves_at_stop=False)
    assert not (tmp_path / "last.pt").exists()


@pytest.mark.parametrize("jaccard_weight", [0.0, 1.0])
@pytest.mark.slow
def test_network_learns(tmp_path: Path, jaccard_weight: float) -> None:
    optimiser = OptimiserSettings(
        warmup_steps=4, learning_rate=0.005, jaccard_weight=jaccard_weight
    )
    trainer = make_trainer(tmp_path, steps=40, side=48, batch_size=4, optimiser=optimiser)
    trainer.run()
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    # A guess costs 1.4 ln 2 by cross-entropy and 2/3 by the Jaccard index.
    assert losses[-1] < 0.5 * (1.4 * math.log(2) + jaccard_weight * 2 / 3)


@pytest.mark.slow
def test_best_and_last_are_kept(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    best = trainer.run()
    assert best == {"step": 3, "val_miou": 0.3}
    assert torch.load(tmp_path / "best.pt", weights_only=True)["step"] == 3
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == STEPS


def test_resume_without_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="without --resume"):
        make_trainer(tmp_path).resume()


def test_foreign_file_is_not_resumed(tmp_path: Path) -> None:
    torch.save({"something": 1}, tmp_path / "last.pt")
    with pytest.raises(WeightsError, match="lacks model and step"):
        make_trainer(tmp_path).resume()
    (tmp_path / "last.pt").write_bytes(b"garbage")
    with pytest.raises(WeightsError, match="can't be read"):
        make_trainer(tmp_path).resume()


@pytest.fixture
def class_weights(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor | None]:
    """Return a list that grows with the class weights of every trainer's loss."""
    used: list[torch.Tensor | None] = []

    def make_objective(
        settings: OptimiserSettings, label_set: LabelSet, class_weights_K: torch.Tensor | None
    ) -> Objective:
        used.append(class_weights_K)
        return real(settings, label_set, class_weights_K)

    real = training.make_objective
    monkeypatch.setattr(training, "make_objective", make_objective)
    return used


def test_boost_raises_the_weight_of_its_class(
    tmp_path: Path, class_weights: list[torch.Tensor | None]
) -> None:
    make_trainer(tmp_path)
    make_trainer(tmp_path, optimiser=OptimiserSettings(class_boost={"bright": 3.0}))
    plain, boosted = class_weights
    assert plain is not None
    assert boosted is not None
    assert boosted.tolist() == [plain[0], 3 * plain[1]]


def test_boost_of_an_unknown_class_lists_the_classes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'brigt'.*dark, bright"):
        make_trainer(tmp_path, optimiser=OptimiserSettings(class_boost={"brigt": 3.0}))


def test_average_follows_the_weights_fast_at_first(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    before = trainer.average.get_parameter("ocr.cls_head.weight").detach().clone()
    trainer.run(stop_step=1)
    assert torch.equal(
        trainer.average.get_parameter("ocr.cls_head.weight"),
        trainer.model.get_parameter("ocr.cls_head.weight"),
    )
    first = trainer.average.get_parameter("ocr.cls_head.weight").detach().clone()
    assert not torch.equal(first, before)
    trainer.run(stop_step=2)
    newest = trainer.model.get_parameter("ocr.cls_head.weight").detach()
    average = trainer.average.get_parameter("ocr.cls_head.weight").detach()
    torch.testing.assert_close(average, first + (1 - 2 / 11) * (newest - first))


@pytest.mark.parametrize(("updates", "moved"), [(1, 9 / 11), (90, 0.09), (10_000, 0.05)])
def test_average_follows_by_its_decay_in_the_end(updates: int, moved: float) -> None:
    layer = nn.Linear(1, 1, bias=False)
    average = make_average(layer, 0.95)
    average.n_averaged.fill_(updates)
    followed = average.module.get_parameter("weight")
    nn.init.zeros_(followed)
    nn.init.ones_(layer.weight)
    average.update_parameters(layer)
    assert float(followed) == pytest.approx(moved)


def test_class_weights_are_measured_only_for_a_loss_that_has_them(
    tmp_path: Path, class_weights: list[torch.Tensor | None]
) -> None:
    def refuse(rng: np.random.Generator) -> Pair:
        raise AssertionError("a pair was drawn")

    source = Source(name="none", weight=1, draw=refuse)
    recipe = Recipe(optimiser=OptimiserSettings(loss="rmi"), precision="f32")
    Trainer(
        build_model("hrnet_w18_small_v1_ocr", 2, ocr_mid=8, ocr_key=4),
        PairMixture([source], recipe.augmentation, seed=0, unlabeled_id=255),
        recipe,
        tmp_path,
        validate=lambda network: {},
        label_set=TWO_CLASSES,
        report=lambda row: None,
    )
    assert class_weights == [None]


def collect_gradients(trainer: Trainer, stop_step: int) -> list[torch.Tensor]:
    """Train to `stop_step`; return the gradients that its last step followed."""
    for module in trainer.model.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    trainer.run(stop_step=stop_step)
    gradients = [parameter.grad for parameter in trainer.model.parameters()]
    return [gradient.clone() for gradient in gradients if gradient is not None]


def test_accumulated_gradient_is_the_mean_of_the_batches_gradients(tmp_path: Path) -> None:
    # Steps this small leave the weights as they are, so both batches meet the same ones.
    still = OptimiserSettings(name="sgd", momentum=0.0, learning_rate=1e-30)
    one_by_one = make_trainer(tmp_path, optimiser=still)
    first = collect_gradients(one_by_one, 1)
    second = collect_gradients(one_by_one, 2)
    assert not all(torch.equal(old, new) for old, new in zip(first, second, strict=True))
    together = collect_gradients(make_trainer(tmp_path, accumulate=2, optimiser=still), 1)
    for old, new, mean in zip(first, second, together, strict=True):
        torch.testing.assert_close(mean, (old + new) / 2, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adamw", "radam"])
@pytest.mark.parametrize("decay_all", [False, True])
def test_decay_shrinks_batch_norms_only_when_asked(name: Any, decay_all: bool) -> None:
    layer = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    settings = OptimiserSettings(
        name=name, learning_rate=0.1, weight_decay=0.5, decay_all=decay_all
    )
    optimiser = make_optimiser(layer, settings)
    before = [parameter.detach().clone() for parameter in layer.parameters()]
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    for old, new in zip(before, layer.parameters(), strict=True):
        factor = 0.95 if decay_all or new.ndim > 1 else 1.0
        torch.testing.assert_close(new.detach(), factor * old)


def test_resuming_tells_what_changed_in_the_recipe(tmp_path: Path) -> None:
    make_trainer(tmp_path).run(stop_step=3)
    rows: list[dict[str, Any]] = []
    make_trainer(tmp_path, steps=9, batch_size=3, report=rows.append).resume()
    assert rows == [
        {"step": 3, "note": "recipe changed: steps 6 -> 9"},
        {"step": 3, "note": "recipe changed: batch_size 2 -> 3"},
    ]


def test_resuming_with_another_optimiser_is_refused(tmp_path: Path) -> None:
    make_trainer(tmp_path).run(stop_step=2)
    other = make_trainer(tmp_path, optimiser=OptimiserSettings(name="sgd"))
    with pytest.raises(ConfigError, match=r"another optimiser.name \('adamw' -> 'sgd'\)"):
        other.resume()


def test_checkpoint_of_an_older_trainer_goes_on_and_says_so(tmp_path: Path) -> None:
    make_trainer(tmp_path).run(stop_step=2)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    del state["recipe"]
    torch.save({**state, "rng": torch.get_rng_state()}, tmp_path / "last.pt")
    trainer = make_trainer(tmp_path)
    trainer.resume()
    assert trainer.step == 2
    assert "older version" in (tmp_path / "log.jsonl").read_text()


def test_best_weights_lost_between_two_files_come_back(tmp_path: Path) -> None:
    make_trainer(tmp_path).run(stop_step=3)
    wanted = torch.load(tmp_path / "best.pt", weights_only=True)
    (tmp_path / "best.pt").unlink()
    make_trainer(tmp_path).resume()
    got = torch.load(tmp_path / "best.pt", weights_only=True)
    assert got["step"] == wanted["step"]
    assert all(torch.equal(got["model"][name], tensor) for name, tensor in wanted["model"].items())


def test_resumed_run_follows_the_decay_and_momentum_of_its_recipe(tmp_path: Path) -> None:
    first = OptimiserSettings(name="sgd", momentum=0.9, weight_decay=0.1)
    make_trainer(tmp_path, optimiser=first).run(stop_step=2)
    second = OptimiserSettings(name="sgd", momentum=0.5, weight_decay=0.2)
    trainer = make_trainer(tmp_path, optimiser=second)
    trainer.resume()
    trainer.run(stop_step=3)
    groups = load_last(tmp_path)["optimiser"]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.2, 0.0]
    assert [group["momentum"] for group in groups] == [0.5, 0.5]


def test_log_of_a_run_killed_before_its_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 9}\n{"step": 2')
    make_trainer(tmp_path).run(stop_step=3)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows == [{"step": 3, "val_miou": 0.3}]
