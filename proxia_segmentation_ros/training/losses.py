"""Losses: class-weighted cross-entropy with the auxiliary head's, and the soft Jaccard index."""

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
    jaccard_weight: float = 0.0,
) -> Tensor:
    """Return main + `aux_weight` x auxiliary cross-entropy, averaged over labelled pixels.

    `jaccard_weight` x `compute_jaccard_loss` of the main logits is added.
    """
    main = F.cross_entropy(
        outputs.logits.float(), labels_NHW, weight=class_weights_K, ignore_index=unlabeled_id
    )
    aux = F.cross_entropy(
        outputs.aux_logits.float(), labels_NHW, weight=class_weights_K, ignore_index=unlabeled_id
    )
    loss = main + aux_weight * aux
    if jaccard_weight:
        jaccard = compute_jaccard_loss(outputs.logits.float(), labels_NHW, unlabeled_id)
        loss = loss + jaccard_weight * jaccard
    return loss


def compute_jaccard_loss(logits_NKHW: Tensor, labels_NHW: Tensor, unlabeled_id: int) -> Tensor:
    """Return 1 - mean soft IoU of the classes that the batch's labels hold.

    Cross-entropy weighs pixels, so that a class of few pixels hardly counts; this weighs
    classes as the score does. Source: Rahman and Wang, "Optimizing Intersection-Over-Union in
    Deep Neural Networks for Image Segmentation", ISVC 2016; sums go over the whole batch.
    """
    num_classes = logits_NKHW.shape[1]
    is_labeled_N1HW = (labels_NHW != unlabeled_id).unsqueeze(1)
    # What is not labelled gets class 0 for one moment and weight 0 for good.
    truth_N1HW = labels_NHW.unsqueeze(1).masked_fill(~is_labeled_N1HW, 0)
    probability_NKHW = logits_NKHW.softmax(1) * is_labeled_N1HW
    right_N1HW = probability_NKHW.gather(1, truth_N1HW)
    shape = (num_classes,)
    flat = truth_N1HW.flatten()
    overlap_K = right_N1HW.new_zeros(shape).index_add(0, flat, right_N1HW.flatten())
    count_K = right_N1HW.new_zeros(shape).index_add(
        0, flat, is_labeled_N1HW.flatten().to(right_N1HW.dtype)
    )
    union_K = probability_NKHW.sum((0, 2, 3)) + count_K - overlap_K
    is_present_K = count_K > 0
    if not is_present_K.any():
        return logits_NKHW.sum() * 0
    return 1 - (overlap_K[is_present_K] / union_K[is_present_K]).mean()


def balance_classes(counts_K: Tensor, exponent: float) -> Tensor:
    """Return class weights (median share / share) ** `exponent`; absent classes weigh 1."""
    shares = counts_K.double() / counts_K.sum().clamp(min=1)
    present = counts_K > 0
    weights = torch.ones_like(shares)
    if present.any():
        weights[present] = (shares[present].median() / shares[present]) ** exponent
    return weights.float()
