"""Cross-entropy and the soft Jaccard index from one softmax, with gradients written out.

Autograd would go over the map of all classes a dozen times for the two of them; here it is four
times. Shares of several processes add up as in `losses.py`.

Shape legend: N images, K classes, H, W pixels, P = H x W; m is 1 where a pixel is labelled.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from proxia_segmentation_ros.training.distributed.process_group import all_reduce, get_world_size

LEAST_WEIGHT = 1e-12
# Less may count as 0 (torch.set_flush_denormal), whose logarithm is not finite; the gradient does
# not need it.
LEAST_PROBABILITY = torch.finfo(torch.float32).tiny


class SoftmaxLosses(NamedTuple):
    """Both losses of one logit map; `jaccard` is 0 unless asked for."""

    cross_entropy: Tensor
    jaccard: Tensor


def compute_softmax_losses(
    logits_NKHW: Tensor,
    labels_NHW: Tensor,
    unlabeled_id: int,
    class_weights_K: Tensor | None = None,
    *,
    with_jaccard: bool,
) -> SoftmaxLosses:
    """Return the class-weighted mean cross-entropy and 1 - mean soft IoU of one logit map.

    The latter is over the classes that the labels hold. Both are 0 where nothing is labelled.
    """
    if logits_NKHW.dtype != torch.float64:
        logits_NKHW = logits_NKHW.float()
    cross_entropy, jaccard = _SoftmaxLosses.apply(  # type: ignore[no-untyped-call]
        logits_NKHW, labels_NHW, unlabeled_id, class_weights_K, with_jaccard
    )
    return SoftmaxLosses(cross_entropy, jaccard)


class _SoftmaxLosses(torch.autograd.Function):
    """With p the softmax, z the logits, y the truth and d the gradient of a loss by p:

    by z it is p (d - sum p d). Cross-entropy has w (p - [k = y]) directly.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits_NKHW: Tensor,
        labels_NHW: Tensor,
        unlabeled_id: int,
        class_weights_K: Tensor | None,
        with_jaccard: bool,
    ) -> tuple[Tensor, Tensor]:
        probability_NKHW = logits_NKHW.softmax(1)
        labels_N1HW = labels_NHW.unsqueeze(1)
        is_labeled_N1HW = labels_N1HW != unlabeled_id
        # What is not labelled gets class 0 for one moment and weight 0 for good.
        truth_N1HW = labels_N1HW.masked_fill(~is_labeled_N1HW, 0)
        mask_N1HW = is_labeled_N1HW.to(probability_NKHW.dtype)
        right_N1HW = probability_NKHW.gather(1, truth_N1HW)
        weight_N1HW = mask_N1HW
        if class_weights_K is not None:
            weight_N1HW = class_weights_K.to(mask_N1HW.dtype)[truth_N1HW] * mask_N1HW
        total = all_reduce(weight_N1HW.sum(dtype=torch.float64)).to(mask_N1HW.dtype)
        weight_N1HW = weight_N1HW / total.clamp(min=LEAST_WEIGHT)
        logarithm = right_N1HW.clamp(min=LEAST_PROBABILITY).log()
        cross_entropy = -(weight_N1HW * logarithm).sum()
        jaccard, gains_2K = torch.zeros_like(cross_entropy), None
        if with_jaccard:
            sums_3K = _count_overlap(probability_NKHW, right_N1HW, truth_N1HW, mask_N1HW)
            scores = _score_overlap(all_reduce(sums_3K))
            jaccard, gains_2K = (one.to(probability_NKHW.dtype) for one in scores)
        ctx.save_for_backward(
            probability_NKHW, right_N1HW, truth_N1HW, weight_N1HW, mask_N1HW, gains_2K
        )
        return cross_entropy, jaccard / get_world_size()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_cross_entropy: Tensor, by_jaccard: Tensor) -> tuple[Any, ...]:
        probability_NKHW, right_N1HW, truth_N1HW, weight_N1HW, mask_N1HW, gains_2K = (
            ctx.saved_tensors
        )
        pull_N1HW = weight_N1HW * by_cross_entropy
        if gains_2K is None:
            gradient_NKHW = probability_NKHW * pull_N1HW
        else:
            every_K, right_K = gains_2K * by_jaccard
            # d is every_K, less right_K at the true class; sum p d follows.
            mean_N1HW = _mix_classes(probability_NKHW, every_K)
            own_N1HW = right_N1HW * right_K[truth_N1HW]
            gradient_NKHW = torch.addcmul(
                pull_N1HW - mask_N1HW * (mean_N1HW - own_N1HW), mask_N1HW, every_K.view(1, -1, 1, 1)
            ).mul_(probability_NKHW)
            pull_N1HW = pull_N1HW + mask_N1HW * own_N1HW
        gradient_NKHW.scatter_add_(1, truth_N1HW, -pull_N1HW)
        return gradient_NKHW, None, None, None, None


def _count_overlap(
    probability_NKHW: Tensor,
    right_N1HW: Tensor,
    truth_N1HW: Tensor,
    mask_N1HW: Tensor,
) -> Tensor:
    """Return for each class: probability where it is true, all its probability, true pixels."""
    classes = probability_NKHW.shape[1]
    truth, mask = truth_N1HW.flatten(), mask_N1HW.flatten().double()
    overlap_K = torch.bincount(truth, right_N1HW.flatten() * mask, classes)
    count_K = torch.bincount(truth, mask, classes)
    predicted_NK1 = torch.matmul(probability_NKHW.flatten(2), mask_N1HW.flatten(2).transpose(1, 2))
    return torch.stack([overlap_K, predicted_NK1.double().sum((0, 2)), count_K])


def _score_overlap(sums_3K: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss and its gradient by p: of every pixel, and how much less of true ones."""
    overlap_K, predicted_K, count_K = sums_3K
    is_present_K = count_K > 0
    union_K = (predicted_K + count_K - overlap_K).clamp(min=LEAST_WEIGHT)
    share_K = is_present_K / is_present_K.sum().clamp(min=1)
    iou_K = overlap_K / union_K
    loss = share_K.sum() - (share_K * iou_K).sum()
    every_K = share_K * iou_K / union_K
    return loss, torch.stack([every_K, every_K + share_K / union_K])


def _mix_classes(probability_NKHW: Tensor, factor_K: Tensor) -> Tensor:
    """Return the sum over classes of probability x factor, as N1HW."""
    batch, _, height, width = probability_NKHW.shape
    mixed_NP = torch.matmul(factor_K, probability_NKHW.flatten(2))
    return mixed_NP.view(batch, 1, height, width)
