"""Straightforward PyTorch training in a process of its own: the baseline of our training step.

Float32, contiguous tensors, PyTorch's own losses and optimiser, and no prefetching of batches.
Network, data and recipe are those of our training.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from proxia_segmentation_ros.benchmark.workers.json_process import (
    JsonProcess,
    read_requests,
    respond,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from proxia_segmentation_ros.model.network.hrnet_ocr import Outputs
    from proxia_segmentation_ros.training.recipe import Recipe

MODULE = "proxia_segmentation_ros.benchmark.workers.plain_training"


class PlainTraining:
    """The recipe's network, data and optimiser without our optimisations."""

    def __init__(self, recipe: "Recipe") -> None:
        import torch

        from proxia_segmentation_ros.data.sampling.mixture import PairMixture
        from proxia_segmentation_ros.labels import load_label_set
        from proxia_segmentation_ros.training.session import build_network, make_sources
        from proxia_segmentation_ros.training.trainer import Normalisation, make_objective

        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        label_set = load_label_set(recipe.data.label_set)
        self._settings = recipe.optimiser
        self._unlabeled_id = label_set.unlabeled_id
        self._batch_size = recipe.batch_size
        self._accumulate = recipe.accumulate
        self._pairs = PairMixture(
            make_sources(recipe.data, label_set),
            recipe.augmentation,
            seed=recipe.seed,
            unlabeled_id=label_set.unlabeled_id,
        )
        self.network = build_network(recipe, len(label_set)).train()
        self._class_weights = torch.ones(len(label_set)) if recipe.uses_class_weights else None
        # For losses that PyTorch does not have.
        self._other_losses = make_objective(recipe.optimiser, label_set, None)
        self._optimiser = self._make_optimiser()
        self._normalisation = Normalisation()
        self._drawn = 0

    def _make_optimiser(self) -> "torch.optim.Optimizer":
        import torch

        settings = self._settings
        rate, decay = settings.learning_rate, settings.weight_decay
        parameters = self.network.parameters()
        if settings.name == "sgd":
            return torch.optim.SGD(
                parameters, lr=rate, momentum=settings.momentum, weight_decay=decay
            )
        if settings.name == "radam":
            return torch.optim.RAdam(parameters, lr=rate, weight_decay=decay)
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)

    def time_steps(self, steps: int) -> float:
        """Train for so many steps; return the seconds of one."""
        began_s = time.perf_counter()
        for _ in range(steps):
            self._take_step()
        return (time.perf_counter() - began_s) / steps

    def _take_step(self) -> None:
        self._optimiser.zero_grad()
        for _ in range(self._accumulate):
            (self._compute_loss() / self._accumulate).backward()
        self._optimiser.step()

    def _compute_loss(self) -> "Tensor":
        import numpy as np
        import torch

        pairs = [self._pairs[self._drawn + slot] for slot in range(self._batch_size)]
        self._drawn += self._batch_size
        images = torch.from_numpy(np.stack([image for image, _ in pairs]))
        labels = torch.from_numpy(np.stack([labels for _, labels in pairs])).long()
        outputs = self.network.outputs(self._normalisation.apply(images).contiguous())
        return self.score(outputs, labels)

    def score(self, outputs: "Outputs", labels: "Tensor") -> "Tensor":
        """Return the recipe's loss, by PyTorch's own functions where there are any."""
        if self._settings.loss != "cross_entropy" or self._settings.scale_weight:
            return self._other_losses(outputs, labels)
        total = self._compute_cross_entropy(outputs.logits, labels)
        aux = self._compute_cross_entropy(outputs.aux_logits, labels)
        total = total + self._settings.aux_weight * aux
        if self._settings.jaccard_weight:
            jaccard = self._compute_jaccard(outputs.logits, labels)
            total = total + self._settings.jaccard_weight * jaccard
        return total

    def _compute_cross_entropy(self, logits_NKHW: "Tensor", labels_NHW: "Tensor") -> "Tensor":
        import torch.nn.functional as F

        return F.cross_entropy(
            logits_NKHW, labels_NHW, weight=self._class_weights, ignore_index=self._unlabeled_id
        )

    def _compute_jaccard(self, logits_NKHW: "Tensor", labels_NHW: "Tensor") -> "Tensor":
        import torch.nn.functional as F

        classes = logits_NKHW.shape[1]
        is_labeled_NHW = labels_NHW != self._unlabeled_id
        truth_NHWK = F.one_hot(labels_NHW.masked_fill(~is_labeled_NHW, 0), classes)
        mask_N1HW = is_labeled_NHW.unsqueeze(1).float()
        truth_NKHW = truth_NHWK.permute(0, 3, 1, 2).float() * mask_N1HW
        probability_NKHW = logits_NKHW.softmax(1) * mask_N1HW
        overlap_K = (probability_NKHW * truth_NKHW).sum((0, 2, 3))
        count_K = truth_NKHW.sum((0, 2, 3))
        union_K = probability_NKHW.sum((0, 2, 3)) + count_K - overlap_K
        return 1 - (overlap_K / union_K.clamp(min=1e-6))[count_K > 0].mean()


class PlainTrainingProcess(JsonProcess):
    """The client end of this module in a process of its own."""

    def __init__(self, recipe: "Recipe", env: Mapping[str, str]) -> None:
        super().__init__(MODULE, "plain training", env)
        self._recipe = recipe.model_dump(mode="json", exclude_unset=True)

    def time_steps(self, steps: int) -> float:
        """Train for so many steps; return the seconds of one.

        Raises:
            BackendError: the process has ended.
        """
        return float(self.request({"steps": steps, "recipe": self._recipe})["step_s"])


def main() -> None:
    """Serve the requests on stdin until it closes; the recipe is that of the first."""
    from proxia_segmentation_ros.training.recipe import Recipe

    training: PlainTraining | None = None
    for request in read_requests():
        training = training or PlainTraining(Recipe.model_validate(request["recipe"]))
        respond({"step_s": training.time_steps(request["steps"])})


if __name__ == "__main__":
    main()
