"""The training objective: the weighted sum of the losses of all maps of a network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from proxia_segmentation_ros.model.network.blocks import resize_bilinear
from proxia_segmentation_ros.model.network.hrnet_ocr import Outputs
from proxia_segmentation_ros.training.losses.pixel_losses import (
    compute_cross_entropy,
    compute_image_weighted_cross_entropy,
    compute_jaccard_loss,
    compute_relaxed_cross_entropy,
)
from proxia_segmentation_ros.training.losses.region_mutual_information import (
    compute_bce_loss,
    compute_rmi_loss,
)
from proxia_segmentation_ros.training.losses.softmax_losses import compute_softmax_losses
from proxia_segmentation_ros.training.settings import LossName as LossName

MapLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The losses and their weights; call it with a network's outputs and labels_NHW."""

    unlabeled_id: int
    loss: LossName = "cross_entropy"
    aux_weight: float = 0.4
    scale_weight: float = 0.0
    jaccard_weight: float = 0.0
    class_weights_K: Tensor | None = None

    def __call__(self, outputs: Outputs, labels_NHW: Tensor) -> Tensor:
        """Return main + `aux_weight` x auxiliary + `scale_weight` x each scale + Jaccard loss."""
        total = self._compute_main(outputs.logits, labels_NHW)
        compute_further = self._choose_losses()[1]
        total = total + self.aux_weight * compute_further(outputs.aux_logits, labels_NHW)
        if self.scale_weight:
            size_hw = (labels_NHW.shape[1], labels_NHW.shape[2])
            for logits in outputs.logits_by_scale.values():
                at_labels = resize_bilinear(logits, size_hw)
                total = total + self.scale_weight * compute_further(at_labels, labels_NHW)
        return total

    def _compute_main(self, logits_NKHW: Tensor, labels_NHW: Tensor) -> Tensor:
        """Return the loss of the main map, including its Jaccard loss."""
        if self.loss == "cross_entropy" and self.jaccard_weight:
            both = compute_softmax_losses(
                logits_NKHW,
                labels_NHW,
                self.unlabeled_id,
                self.class_weights_K,
                with_jaccard=True,
            )
            return both.cross_entropy + self.jaccard_weight * both.jaccard
        main = self._choose_losses()[0](logits_NKHW, labels_NHW)
        if self.jaccard_weight:
            jaccard = compute_jaccard_loss(logits_NKHW, labels_NHW, self.unlabeled_id)
            main = main + self.jaccard_weight * jaccard
        return main

    def _choose_losses(self) -> tuple[MapLoss, MapLoss]:
        """Return the loss of the main map and that of the others."""
        ignored = self.unlabeled_id

        def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
            return compute_cross_entropy(logits, labels, ignored)

        def class_weighted(logits: Tensor, labels: Tensor) -> Tensor:
            return compute_cross_entropy(logits, labels, ignored, self.class_weights_K)

        def image_weighted(logits: Tensor, labels: Tensor) -> Tensor:
            return compute_image_weighted_cross_entropy(logits, labels, ignored)

        def relaxed(logits: Tensor, labels: Tensor) -> Tensor:
            return compute_relaxed_cross_entropy(logits, labels, ignored)

        def rmi(logits: Tensor, labels: Tensor) -> Tensor:
            return compute_rmi_loss(logits, labels, ignored)

        def bce(logits: Tensor, labels: Tensor) -> Tensor:
            return compute_bce_loss(logits, labels, ignored)

        choice: dict[LossName, tuple[MapLoss, MapLoss]] = {
            "cross_entropy": (class_weighted, class_weighted),
            "image_weighted": (image_weighted, image_weighted),
            "relaxed": (relaxed, cross_entropy),
            "rmi": (rmi, bce),
        }
        return choice[self.loss]
