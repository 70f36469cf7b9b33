"""The training loop: draw, step, validate, save, and go on where it stopped."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from proxia_segmentation_ros.data.mixture import PairMixture
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.model.networks import HRNetOcr, Outputs
from proxia_segmentation_ros.training.branch_head import compute_outputs
from proxia_segmentation_ros.training.checkpoint import load_checkpoint, save_checkpoint
from proxia_segmentation_ros.training.losses import balance_classes
from proxia_segmentation_ros.training.objective import Objective
from proxia_segmentation_ros.training.precision import choose_dtype
from proxia_segmentation_ros.training.recipe import OptimiserSettings, Recipe
from proxia_segmentation_ros.training.schedule import compute_learning_rate

logger = logging.getLogger(__name__)

PAIRS_FOR_CLASS_SHARES = 256
LAST_NAME = "last.pt"
Validate = Callable[[nn.Module], dict[str, Any]]
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Mean and spread of each channel, image values being 0..1."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def apply(self, images_NHWC: Tensor) -> Tensor:
        """Turn uint8 images into normalised image_NCHW, channels last in memory."""
        images = images_NHWC.permute(0, 3, 1, 2).float() / 255
        mean = torch.tensor(self.mean).view(1, 3, 1, 1)
        std = torch.tensor(self.std).view(1, 3, 1, 1)
        return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


class Trainer:
    """Trains `model` on `pairs` by `recipe`; checkpoints and a log go to `folder`."""

    def __init__(
        self,
        model: nn.Module,
        pairs: PairMixture,
        recipe: Recipe,
        folder: Path,
        *,
        validate: Validate,
        label_set: LabelSet,
        report: Report,
    ) -> None:
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recipe = recipe
        self.folder = folder
        self.step = 0
        self.best: dict[str, Any] = {}
        self._pairs = pairs
        self._validate = validate
        self._label_set = label_set
        self._report = report
        self._normalisation = Normalisation()
        self._dtype = choose_dtype(recipe.precision)
        self._optimiser = make_optimiser(model, recipe.optimiser)
        self._average = AveragedModel(
            self.model,
            multi_avg_fn=get_ema_multi_avg_fn(recipe.optimiser.average_decay),
            use_buffers=True,
        )
        self._objective = make_objective(recipe.optimiser, label_set, self._measure_class_weights())

    @property
    def average(self) -> nn.Module:
        """The moving average of the weights: what is validated and kept."""
        return self._average.module

    def _measure_class_weights(self) -> Tensor | None:
        if not self.recipe.uses_class_weights:
            return None
        num_classes = len(self._label_set)
        counts = np.zeros(num_classes, np.int64)
        for index in range(PAIRS_FOR_CLASS_SHARES):
            labels_HW = self._pairs[index][1]
            counts += np.bincount(labels_HW.ravel(), minlength=num_classes)[:num_classes]
        settings = self.recipe.optimiser
        weights = balance_classes(torch.from_numpy(counts), settings.class_balance)
        for name, factor in settings.class_boost.items():
            if name not in self._label_set.names:
                raise ConfigError.from_parts(
                    f"optimiser.class_boost names {name!r}",
                    f"classes of {self._label_set.name}: {', '.join(self._label_set.names)}",
                    "correct the recipe",
                )
            weights[self._label_set.names.index(name)] *= factor
        return weights

    @property
    def last_path(self) -> Path:
        """Where the newest checkpoint lies."""
        return self.folder / LAST_NAME

    def resume(self) -> None:
        """Load the newest checkpoint of the folder."""
        state = load_checkpoint(self.last_path)
        self.model.load_state_dict(state["model"])
        self._average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])
        self.best = dict(state["best"])
        torch.set_rng_state(state["rng"])

    def run(self, *, stop_step: int | None = None) -> dict[str, Any]:
        """Train to `stop_step` (default: the recipe's end); return the best validation row."""
        stop = min(stop_step or self.recipe.steps, self.recipe.steps)
        started, first_step = time.monotonic(), self.step
        for images_NHWC, labels_NHW in self._iterate_batches(stop):
            loss = self._take_step(images_NHWC, labels_NHW)
            self.step += 1
            if self.step % 20 == 0:
                step_s = (time.monotonic() - started) / (self.step - first_step)
                self._log({"step": self.step, "loss": round(loss, 4), "step_s": round(step_s, 3)})
            if self.step % self.recipe.validate_every == 0 or self.step == self.recipe.steps:
                self._validate_and_keep()
            if self.step % self.recipe.save_every == 0 or self.step == stop:
                save_checkpoint(self.last_path, self._state())
        return self.best

    def _iterate_batches(self, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Prepare one batch ahead in a thread; numpy and cv2 leave the interpreter free."""
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self._draw_batch, self.step) if self.step < stop else None
            for step in range(self.step, stop):
                batch = waiting.result() if waiting is not None else self._draw_batch(step)
                waiting = pool.submit(self._draw_batch, step + 1) if step + 1 < stop else None
                yield batch

    def _draw_batch(self, step: int) -> tuple[Tensor, Tensor]:
        size = self.recipe.batch_size
        pairs = [self._pairs[step * size + slot] for slot in range(size)]
        images = torch.from_numpy(np.stack([image for image, _ in pairs]))
        labels = torch.from_numpy(np.stack([labels for _, labels in pairs])).long()
        return images, labels

    def _take_step(self, images_NHWC: Tensor, labels_NHW: Tensor) -> float:
        settings = self.recipe.optimiser
        rate = compute_learning_rate(
            self.step,
            peak=settings.learning_rate,
            steps=self.recipe.steps,
            warmup_steps=settings.warmup_steps,
            power=settings.poly_power,
        )
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        image_NCHW = self._normalisation.apply(images_NHWC)
        is_mixed = self._dtype != torch.float32
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_mixed):
            outputs = self._compute_outputs(image_NCHW)
        loss = self._objective(outputs, labels_NHW)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
        self._average.update_parameters(self.model)
        return float(loss.detach())

    def _compute_outputs(self, image_NCHW: Tensor) -> Outputs:
        if isinstance(self.model, HRNetOcr):
            return compute_outputs(self.model, image_NCHW)
        outputs: Outputs = self.model.outputs(image_NCHW)
        return outputs

    def _validate_and_keep(self) -> None:
        self.average.eval()
        row = {"step": self.step, **self._validate(self.average)}
        self._log(row)
        if row["val_miou"] > self.best.get("val_miou", -1.0):
            self.best = row
            save_checkpoint(
                self.folder / "best.pt", {"model": self.average.state_dict(), "step": self.step}
            )

    def _log(self, row: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._report(row)

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
            "best": self.best,
            "rng": torch.get_rng_state(),
        }


def make_objective(
    settings: OptimiserSettings, label_set: LabelSet, class_weights_K: Tensor | None
) -> Objective:
    """Return the recipe's loss of a network's outputs."""
    return Objective(
        unlabeled_id=label_set.unlabeled_id,
        loss=settings.loss,
        aux_weight=settings.aux_weight,
        scale_weight=settings.scale_weight,
        jaccard_weight=settings.jaccard_weight,
        class_weights_K=class_weights_K,
    )


def make_optimiser(model: nn.Module, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Return the optimiser; batch norms and biases are not decayed."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    free = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)
    return torch.optim.AdamW(groups, lr=settings.learning_rate)
