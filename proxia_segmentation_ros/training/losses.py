"""Losses: class-weighted cross-entropy, with the auxiliary head at its own weight."""

import torch
import torch.nn.functional as F
from torch import Tensor

from proxia_segmentation_ros.model.networks import Outputs


def compute_loss(
    outputs: Outputs,
    labels_NHW: Tensor,
    *,
    aux_weight: float,
    unlabeled_id: int,
    class_weights_K: Tensor | None = None,
) -> Tensor:
    """Return main + `aux_weight` x auxiliary cross-entropy, averaged over labelled pixels."""
    main = F.cross_entropy(
        outputs.logits.float(), labels_NHW, weight=class_weights_K, ignore_index=unlabeled_id
    )
    aux = F.cross_entropy(
        outputs.aux_logits.float(), labels_NHW, weight=class_weights_K, ignore_index=unlabeled_id
    )
    return main + aux_weight * aux


def balance_classes(counts_K: Tensor, exponent: float) -> Tensor:
    """Return class weights (median share / share) ** `exponent`; absent classes weigh 1."""
    shares = counts_K.double() / counts_K.sum().clamp(min=1)
    present = counts_K > 0
    weights = torch.ones_like(shares)
    if present.any():
        weights[present] = (shares[present].median() / shares[present]) ** exponent
    return weights.float()
