"""Losses of one logit map: weighted cross-entropies, label relaxation, the soft Jaccard index.

With several processes each function returns this process's share; the shares add up to the loss
of all images (`training/distributed/process_group.py`).

Shape legend: N images, K classes, H, W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from proxia_segmentation_ros.training.distributed.process_group import all_reduce, get_world_size
from proxia_segmentation_ros.training.losses.softmax_losses import compute_softmax_losses


def compute_cross_entropy(
    logits_NKHW: Tensor,
    labels_NHW: Tensor,
    unlabeled_id: int,
    class_weights_K: Tensor | None = None,
) -> Tensor:
    """Return the class-weighted mean over labelled pixels; 0 where there are none."""
    return compute_softmax_losses(
        logits_NKHW, labels_NHW, unlabeled_id, class_weights_K, with_jaccard=False
    ).cross_entropy


def compute_image_weighted_cross_entropy(
    logits_NKHW: Tensor,
    labels_NHW: Tensor,
    unlabeled_id: int,
    *,
    bound: float = 1.0,
    batch_sum: bool = False,
) -> Tensor:
    """Return the cross-entropy with rare classes of an image weighted more; mean over images.

    A class in the image has the weight 1 + `bound` x (1 - its share of pixels), other classes 1.
    With `batch_sum` the shares are those of the whole batch and the images' means are summed, as
    in NVIDIA/semantic-segmentation (https://github.com/NVIDIA/semantic-segmentation, 2020).
    """
    num_classes = logits_NKHW.shape[1]
    whole_batch = _weigh_by_share(labels_NHW, num_classes, bound)
    means = []
    for logits_KHW, labels_HW in zip(logits_NKHW.float(), labels_NHW, strict=True):
        if not (labels_HW != unlabeled_id).any():
            means.append(logits_KHW.sum() * 0)
            continue
        weights_K = whole_batch if batch_sum else _weigh_by_share(labels_HW, num_classes, bound)
        means.append(
            F.cross_entropy(
                logits_KHW[None], labels_HW[None], weight=weights_K, ignore_index=unlabeled_id
            )
        )
    total = torch.stack(means).sum()
    return total if batch_sum else total / (len(means) * get_world_size())


def _weigh_by_share(labels: Tensor, num_classes: int, bound: float) -> Tensor:
    labelled = labels[(labels >= 0) & (labels < num_classes)]
    counts_K = torch.bincount(labelled, minlength=num_classes).float()
    shares_K = counts_K / counts_K.sum().clamp(min=1)
    return 1 + bound * (counts_K > 0) * (1 - shares_K)


def compute_relaxed_cross_entropy(
    logits_NKHW: Tensor, labels_NHW: Tensor, unlabeled_id: int
) -> Tensor:
    """Return the cross-entropy with label relaxation at class borders.

    The probabilities of all classes in a pixel's 3x3 window are summed. Source: Zhu et al.,
    "Improving Semantic Segmentation via Video Propagation and Label Relaxation", CVPR 2019,
    arXiv 1812.01593.
    """
    is_labeled_NHW = labels_NHW != unlabeled_id
    known_NHW = labels_NHW.masked_fill(~is_labeled_NHW, 0)
    truth_NKHW = F.one_hot(known_NHW, logits_NKHW.shape[1]).permute(0, 3, 1, 2)
    truth_NKHW = truth_NKHW * is_labeled_NHW.unsqueeze(1)
    accepted_NKHW = F.max_pool2d(truth_NKHW.float(), 3, stride=1, padding=1) > 0
    log_probability_NKHW = logits_NKHW.float().log_softmax(1)
    # Without any accepted class the sum is -inf and its gradient NaN, even if masked out later.
    accepted_NKHW = accepted_NKHW | ~is_labeled_NHW.unsqueeze(1)
    log_right_NHW = log_probability_NKHW.masked_fill(~accepted_NKHW, -torch.inf).logsumexp(1)
    return -(log_right_NHW * is_labeled_NHW).sum() / all_reduce(is_labeled_NHW.sum()).clamp(min=1)


def compute_jaccard_loss(logits_NKHW: Tensor, labels_NHW: Tensor, unlabeled_id: int) -> Tensor:
    """Return 1 - mean soft IoU of the classes in the batch's labels.

    Cross-entropy weights pixels, so a class with few pixels hardly counts; this loss weights
    classes equally, like the mean IoU. Sums go over the whole batch. Source: Rahman and Wang,
    "Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation", ISVC 2016.
    """
    return compute_softmax_losses(logits_NKHW, labels_NHW, unlabeled_id, with_jaccard=True).jaccard


def balance_classes(counts_K: Tensor, exponent: float) -> Tensor:
    """Return class weights (median share / share) ** `exponent`, 1 for absent classes."""
    shares = counts_K.double() / counts_K.sum().clamp(min=1)
    present = counts_K > 0
    weights = torch.ones_like(shares)
    if present.any():
        weights[present] = (shares[present].median() / shares[present]) ** exponent
    return weights.float()
