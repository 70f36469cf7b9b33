"""Cross-entropy and the soft Jaccard loss from one softmax, with hand-written gradients.

No library: autograd passes over the map of all classes a dozen times for the two losses, this code
four times, in 70 ms instead of 158 on a CPU (docs/decisions/004-training-step.md). The shares of
several processes add up as in `pixel_losses.py`.

Shape legend: N images, K classes, H, W pixels, P = H x W; the mask is 1 where a pixel is labelled.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from proxia_segmentation_ros.training.distributed.process_group import all_reduce, get_world_size

MIN_WEIGHT = 1e-12
# Smaller values may be flushed to 0 (torch.set_flush_denormal), which has no finite logarithm. The
# gradient does not use the logarithm.
MIN_PROBABILITY = torch.finfo(torch.float32).tiny


class SoftmaxLosses(NamedTuple):
    """Both losses of one logit map; `jaccard` is 0 unless requested."""

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

    The IoU is averaged over the classes in the labels. Both losses are 0 without labelled pixels.
    """
    if logits_NKHW.dtype != torch.float64:
        logits_NKHW = logits_NKHW.float()
    cross_entropy, jaccard = _SoftmaxLosses.apply(  # type: ignore[no-untyped-call]
        logits_NKHW, labels_NHW, unlabeled_id, class_weights_K, with_jaccard
    )
    return SoftmaxLosses(cross_entropy, jaccard)


class _SoftmaxLosses(torch.autograd.Function):
    """Both losses as one autograd function.

    With p the softmax of the logits z, y the true class and d = dL/dp, the gradient of the Jaccard
    loss is dL/dz = p (d - sum_k p_k d_k). That of the cross-entropy is w (p - [k = y]).
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
        # Unlabelled pixels get class 0, a valid index, and the weight 0.
        truth_N1HW = labels_N1HW.masked_fill(~is_labeled_N1HW, 0)
        mask_N1HW = is_labeled_N1HW.to(probability_NKHW.dtype)
        right_N1HW = probability_NKHW.gather(1, truth_N1HW)
        weight_N1HW = mask_N1HW
        if class_weights_K is not None:
            weight_N1HW = class_weights_K.to(mask_N1HW.dtype)[truth_N1HW] * mask_N1HW
        total = all_reduce(weight_N1HW.sum(dtype=torch.float64)).to(mask_N1HW.dtype)
        weight_N1HW = weight_N1HW / total.clamp(min=MIN_WEIGHT)
        logarithm = right_N1HW.clamp(min=MIN_PROBABILITY).log()
        cross_entropy = -(weight_N1HW * logarithm).sum()
        jaccard, gains_2K = torch.zeros_like(cross_entropy), None
        if with_jaccard:
            sums_3K = _count_overlap(probability_NKHW, right_N1HW, truth_N1HW, mask_N1HW)
            scores = _score_overlap(all_reduce(sums_3K))
            jaccard, gains_2K = (score.to(probability_NKHW.dtype) for score in scores)
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
            # d is every_K, minus right_K at the true class: mean - own is sum_k p_k d_k.
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
    """Return by class: the sum of p over true pixels, that over all pixels, and true pixels."""
    classes = probability_NKHW.shape[1]
    truth, mask = truth_N1HW.flatten(), mask_N1HW.flatten().double()
    overlap_K = torch.bincount(truth, right_N1HW.flatten() * mask, classes)
    count_K = torch.bincount(truth, mask, classes)
    predicted_NK1 = torch.matmul(probability_NKHW.flatten(2), mask_N1HW.flatten(2).transpose(1, 2))
    return torch.stack([overlap_K, predicted_NK1.double().sum((0, 2)), count_K])


def _score_overlap(sums_3K: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss and dL/dp by class: of all pixels, and what true pixels have less."""
    overlap_K, predicted_K, count_K = sums_3K
    is_present_K = count_K > 0
    union_K = (predicted_K + count_K - overlap_K).clamp(min=MIN_WEIGHT)
    share_K = is_present_K / is_present_K.sum().clamp(min=1)
    iou_K = overlap_K / union_K
    loss = share_K.sum() - (share_K * iou_K).sum()
    every_K = share_K * iou_K / union_K
    return loss, torch.stack([every_K, every_K + share_K / union_K])


def _mix_classes(probability_NKHW: Tensor, factor_K: Tensor) -> Tensor:
    """Return the sum over classes of probability x factor, shape N1HW."""
    batch, _, height, width = probability_NKHW.shape
    mixed_NP = torch.matmul(factor_K, probability_NKHW.flatten(2))
    return mixed_NP.view(batch, 1, height, width)
