"""The training loop: load batches, step, validate, save, resume."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from proxia_segmentation_ros.data.sampling.mixture import PairMixture
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.labels import LabelSet
from proxia_segmentation_ros.model.network.hrnet_ocr import HRNetOcr, HRNetOcrMultiScale, Outputs
from proxia_segmentation_ros.training.batches import Batch, BatchLoader
from proxia_segmentation_ros.training.branch_head import compute_outputs
from proxia_segmentation_ros.training.checkpoint import load_checkpoint, save_checkpoint
from proxia_segmentation_ros.training.distributed.process_group import (
    all_reduce,
    all_reduce_gradients,
    broadcast_weights,
    get_rank,
    get_world_size,
)
from proxia_segmentation_ros.training.distributed.synced_batch_norm import sync_batch_norms
from proxia_segmentation_ros.training.logs.run_log import Report, RunLog
from proxia_segmentation_ros.training.losses.objective import Objective
from proxia_segmentation_ros.training.losses.pixel_losses import balance_classes
from proxia_segmentation_ros.training.optimisers import load_moments
from proxia_segmentation_ros.training.optimisers import make_optimiser as make_optimiser
from proxia_segmentation_ros.training.precision import choose_dtype
from proxia_segmentation_ros.training.resumption import describe_changes
from proxia_segmentation_ros.training.schedule import get_learning_rate
from proxia_segmentation_ros.training.settings import (
    OptimiserSettings,
    Recipe,
    flatten_settings,
)

LAST_NAME = "last.pt"
BEST_NAME = "best.pt"
LOG_EVERY = 20
CPU = torch.device("cpu")
Validate = Callable[[nn.Module], dict[str, Any]]
StepCallback = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Mean and standard deviation of each channel (those of ImageNet), for values of 0..1."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def apply(self, images_NHWC: Tensor) -> Tensor:
        """Convert uint8 images to a normalised image_NCHW in channels-last memory format."""
        images = images_NHWC.permute(0, 3, 1, 2).float() / 255
        mean = torch.tensor(self.mean, device=images.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, 3, 1, 1)
        return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


class StopRequest(Exception):  # noqa: N818 - a request, not an error
    """Raised by `on_step` to stop a run after the current step, with a checkpoint."""


def ignore_step(_step: int, _steps: int) -> None:
    """Ignore a finished step."""


class Trainer:
    """Trains `model` on `pairs` by `recipe`; writes checkpoints and a log to `folder`.

    Of several processes each trains on its own part of every batch, and the first writes files.
    `on_step(step, steps)` is called after every step and may raise `StopRequest`.
    """

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
        on_step: StepCallback = ignore_step,
        device: torch.device = CPU,
    ) -> None:
        self.model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recipe = recipe
        self.folder = folder
        self.step = 0
        self.best: dict[str, Any] = {}
        self._pairs = pairs
        self._batches = BatchLoader(pairs, recipe.batch_size, recipe.accumulate)
        self._validate = validate
        self._label_set = label_set
        self._on_step = on_step
        self._device = device
        self._log = RunLog(
            folder, report, is_silent=get_rank() > 0, with_event_files=recipe.tensorboard
        )
        self._normalisation = Normalisation()
        self._dtype = choose_dtype(recipe.precision, device)
        sync_batch_norms(self.model, device)
        broadcast_weights(self.model)
        self._optimiser = make_optimiser(self.model, recipe.optimiser)
        # Without loss scaling float16 gradients underflow or overflow.
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype == torch.float16)
        self._average = make_average(self.model, recipe.optimiser.average_decay)
        self._objective = make_objective(recipe.optimiser, label_set, self._measure_class_weights())

    @property
    def average(self) -> nn.Module:
        """The moving average (EMA) of the weights, which is validated and saved."""
        return self._average.module

    def _measure_class_weights(self) -> Tensor | None:
        if not self.recipe.uses_class_weights:
            return None
        num_classes = len(self._label_set)
        counts = np.zeros(num_classes, np.int64)
        for index in range(self.recipe.class_share_pairs):
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
        return weights.to(self._device)

    @property
    def last_path(self) -> Path:
        """Path of the newest checkpoint."""
        return self.folder / LAST_NAME

    def resume(self) -> None:
        """Load the newest checkpoint; truncate the log to it and note the changed settings.

        Raises:
            ConfigError: the recipe now needs another network or optimiser.
            WeightsError: there is no checkpoint, or it can't be read.
        """
        state = load_checkpoint(self.last_path)
        notes = describe_changes(
            state.get("recipe"), self._describe_recipe(), flatten_settings(Recipe())
        )
        self.model.load_state_dict(state["model"])
        self._average.load_state_dict(state["average"])
        load_moments(self._optimiser, state["optimiser"])
        if state.get("scaler"):
            self._scaler.load_state_dict(state["scaler"])
        self.step = int(state["step"])
        self.best = dict(state["best"])
        self._log.cut(self.step)
        if self.best.get("step") == self.step:
            # The process may have been killed after writing the first of the two files.
            self._save_best()
        for note in notes:
            self._log.add({"step": self.step, "note": note})

    def run(self, *, stop_step: int | None = None, saves_at_stop: bool = True) -> dict[str, Any]:
        """Train to `stop_step` (default: the recipe's `steps`); return the best validation row.

        `saves_at_stop` writes a checkpoint there, regardless of the recipe's `save_every`.
        """
        stop = min(stop_step or self.recipe.steps, self.recipe.steps)
        started, first_step = time.monotonic(), self.step
        self._log.begin(self.step)
        for batches in self._batches.iterate(self.step, stop):
            loss = self._take_step(batches)
            self.step += 1
            if self.step % LOG_EVERY == 0:
                self._log_step(loss, (time.monotonic() - started) / (self.step - first_step))
            is_due = self.step % self.recipe.validate_every == 0 or self.step == self.recipe.steps
            is_best = is_due and self._validate_average()
            is_last = saves_at_stop and self.step == stop
            if is_best or is_last or self.step % self.recipe.save_every == 0:
                self._save(LAST_NAME, self._state())
            if is_best:
                self._save_best()
            self._finish_step(self.step)
        self._log.end()
        return self.best

    def _finish_step(self, step: int) -> None:
        """Call `on_step`; save a checkpoint if it stops the run."""
        try:
            self._on_step(step, self.recipe.steps)
        except StopRequest:
            self._save(LAST_NAME, self._state())
            self._log.end()
            raise

    def _take_step(self, batches: list[Batch]) -> Tensor:
        """Step down the mean loss of the batches; return this process's share of it."""
        rate = get_learning_rate(self.recipe.optimiser, self.step, self.recipe.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        # Dropout depends on seed, step and rank only, so checkpoints need no random state.
        torch.manual_seed(make_seed(self.recipe.seed, self.step, get_rank()))
        self._optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self._device)
        for images_NHWC, labels_NHW in batches:
            loss = self._compute_loss(images_NHWC, labels_NHW) / len(batches)
            self._scaler.scale(loss).backward()
            total += loss.detach()
        all_reduce_gradients(self.model.parameters())
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._average.update_parameters(self.model)
        return total

    def _compute_loss(self, images_NHWC: Tensor, labels_NHW: Tensor) -> Tensor:
        image_NCHW = self._normalisation.apply(images_NHWC.to(self._device))
        is_mixed = self._dtype != torch.float32
        with torch.autocast(self._device.type, dtype=self._dtype, enabled=is_mixed):
            outputs = self._compute_outputs(image_NCHW)
        return self._objective(outputs, labels_NHW.to(self._device))

    def _compute_outputs(self, image_NCHW: Tensor) -> Outputs:
        if isinstance(self.model, HRNetOcr | HRNetOcrMultiScale):
            return compute_outputs(self.model, image_NCHW)
        outputs: Outputs = self.model.outputs(image_NCHW)
        return outputs

    def _validate_average(self) -> bool:
        """Evaluate the moving average and log it; return whether it is the best so far."""
        self.average.eval()
        row = {"step": self.step, **self._validate(self.average)}
        self._log.add(row)
        is_best: bool = row["val_miou"] > self.best.get("val_miou", -1.0)
        if is_best:
            self.best = row
        return is_best

    def _log_step(self, loss: Tensor, step_s: float) -> None:
        row = {
            "step": self.step,
            "loss": round(float(all_reduce(loss)), 4),
            "step_s": round(step_s, 3),
        }
        remaining = self.recipe.steps - self.step
        rate = get_learning_rate(self.recipe.optimiser, self.step - 1, self.recipe.steps)
        self._log.add({**row, "learning_rate": rate, "eta_s": round(remaining * step_s)})

    def _save_best(self) -> None:
        self._save(BEST_NAME, {"model": self.average.state_dict(), "step": self.step})

    def _save(self, name: str, state: dict[str, Any]) -> None:
        if get_rank() == 0:
            save_checkpoint(self.folder / name, state)

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
            "step": self.step,
            "best": self.best,
            "recipe": self._describe_recipe(),
        }

    def _describe_recipe(self) -> dict[str, Any]:
        """Return every setting and the number of processes."""
        return {**flatten_settings(self.recipe), "processes": get_world_size()}


def make_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return the exponential moving average (EMA) of a network's weights and batch norms.

    After n updates the decay is at most (1 + n) / (10 + n). Otherwise the random initial weights
    would have a share in the average for the whole of a short run.
    """

    def update(averages: Any, newest: Any, updates: Tensor | int) -> None:
        now = min(decay, (1 + int(updates)) / (10 + int(updates)))
        get_ema_multi_avg_fn(now)(averages, newest, updates)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)


def make_seed(*numbers: int) -> int:
    """Return a seed that depends on all the numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint32)[0])


def make_objective(
    settings: OptimiserSettings, label_set: LabelSet, class_weights_K: Tensor | None
) -> Objective:
    """Return the loss function of a recipe."""
    return Objective(
        unlabeled_id=label_set.unlabeled_id,
        loss=settings.loss,
        aux_weight=settings.aux_weight,
        scale_weight=settings.scale_weight,
        jaccard_weight=settings.jaccard_weight,
        class_weights_K=class_weights_K,
    )
