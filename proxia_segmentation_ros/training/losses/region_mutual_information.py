"""Region mutual information (RMI) loss: compares 3x3 neighbourhoods of labels and predictions.

Source: Zhao et al., "Region Mutual Information Loss for Semantic Segmentation", NeurIPS 2019,
arXiv 1910.12037. The constants are those of NVIDIA/semantic-segmentation (2020,
https://github.com/NVIDIA/semantic-segmentation): maps are averaged over 4x4 pixels, then the lower
bound of the mutual information of 9-dimensional neighbourhoods is computed for each class.

Shape legend: N images, K classes, H, W pixels, D = 9 pixels of a neighbourhood, M neighbourhoods.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from proxia_segmentation_ros.training.distributed.process_group import all_reduce, get_world_size

SIDE = 3
POOL = 4
MIN_PROBABILITY = 1e-6
# Added to the diagonal of covariances, so that they can be inverted.
RIDGE = 5e-4
DIAGONAL_EPSILON = 1e-8


def compute_rmi_loss(
    logits_NKHW: Tensor, labels_NHW: Tensor, unlabeled_id: int, *, bce_share: float = 0.5
) -> Tensor:
    """Return `bce_share` x binary cross-entropy + (1 - `bce_share`) x region loss, of sigmoids.

    The region loss is a log-determinant and often negative. Computes in float32, and the region
    loss in float64, whatever the type of the logits.
    """
    logits_NKHW = logits_NKHW.float()
    truth_NKHW, is_labeled_N1HW = encode_labels(labels_NHW, logits_NKHW.shape[1], unlabeled_id)
    bce = _average_bce(logits_NKHW, truth_NKHW, is_labeled_N1HW)
    probability_NKHW = logits_NKHW.sigmoid() * is_labeled_N1HW + MIN_PROBABILITY
    region = compute_region_loss(truth_NKHW, probability_NKHW) / get_world_size()
    return bce_share * bce + (1 - bce_share) * region


def compute_bce_loss(logits_NKHW: Tensor, labels_NHW: Tensor, unlabeled_id: int) -> Tensor:
    """Return the binary cross-entropy alone, summed over classes and divided by labelled pixels."""
    logits_NKHW = logits_NKHW.float()
    truth_NKHW, is_labeled_N1HW = encode_labels(labels_NHW, logits_NKHW.shape[1], unlabeled_id)
    return _average_bce(logits_NKHW, truth_NKHW, is_labeled_N1HW)


def encode_labels(labels_NHW: Tensor, num_classes: int, unlabeled_id: int) -> tuple[Tensor, Tensor]:
    """Return truth_NKHW of zeros and ones, and is_labeled_N1HW, both float32."""
    is_labeled_NHW = labels_NHW != unlabeled_id
    known_NHW = labels_NHW.masked_fill(~is_labeled_NHW, 0)
    is_labeled_N1HW = is_labeled_NHW.unsqueeze(1).float()
    truth_NKHW = F.one_hot(known_NHW, num_classes).permute(0, 3, 1, 2) * is_labeled_N1HW
    return truth_NKHW, is_labeled_N1HW


def _average_bce(logits_NKHW: Tensor, truth_NKHW: Tensor, is_labeled_N1HW: Tensor) -> Tensor:
    weight_NKHW = is_labeled_N1HW.expand_as(logits_NKHW)
    total = F.binary_cross_entropy_with_logits(
        logits_NKHW, truth_NKHW, weight=weight_NKHW, reduction="sum"
    )
    return total / (all_reduce(is_labeled_N1HW.sum()) + 1)


def compute_region_loss(truth_NKHW: Tensor, probability_NKHW: Tensor) -> Tensor:
    """Return the negative lower bound of the regions' mutual information, summed over classes.

    The bound is half the log-determinant of the labels' covariance given the predictions, here by
    a Cholesky decomposition.
    """
    truth_NKDM = _gather_neighbourhoods(truth_NKHW)
    probability_NKDM = _gather_neighbourhoods(probability_NKHW)
    places = truth_NKDM.shape[2]
    truth_NKDM = truth_NKDM - truth_NKDM.mean(3, keepdim=True)
    probability_NKDM = probability_NKDM - probability_NKDM.mean(3, keepdim=True)
    ridge_DD = RIDGE * torch.eye(places, dtype=truth_NKDM.dtype, device=truth_NKDM.device)
    truth_NKDD = truth_NKDM @ truth_NKDM.transpose(2, 3)
    probability_NKDD = probability_NKDM @ probability_NKDM.transpose(2, 3)
    both_NKDD = truth_NKDM @ probability_NKDM.transpose(2, 3)
    explained_NKDD = both_NKDD @ torch.linalg.solve(
        probability_NKDD + ridge_DD, both_NKDD.transpose(2, 3)
    )
    left_NKDD = truth_NKDD - explained_NKDD + ridge_DD
    diagonal_NKD = torch.linalg.cholesky(left_NKDD).diagonal(dim1=2, dim2=3)
    half_log_determinant_NK = (diagonal_NKD + DIAGONAL_EPSILON).log().sum(2)
    return half_log_determinant_NK.mean(0).float().div(places).sum()


def _gather_neighbourhoods(maps_NKHW: Tensor) -> Tensor:
    """Average over 4x4 pixels and unfold every 3x3 neighbourhood; return float64 NKDM."""
    small = F.avg_pool2d(maps_NKHW, POOL, stride=POOL, padding=POOL // 2)
    height, width = small.shape[2] - SIDE + 1, small.shape[3] - SIDE + 1
    crops = [
        small[:, :, row : row + height, column : column + width]
        for row in range(SIDE)
        for column in range(SIDE)
    ]
    return torch.stack(crops, 2).flatten(3).double()
