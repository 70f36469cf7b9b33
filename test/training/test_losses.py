"""Losses."""

import numpy as np
import pytest
import torch

from proxia_segmentation_ros.model.networks import Outputs
from proxia_segmentation_ros.training.losses import (
    balance_classes,
    compute_jaccard_loss,
    compute_loss,
)


def make_outputs() -> tuple[Outputs, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    aux = torch.randn(2, 3, 4, 5, generator=generator)
    labels = torch.randint(0, 3, (2, 4, 5), generator=generator)
    labels[0, 0] = 255
    return Outputs(logits, aux, {}, {}), labels


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Compute the mean over labelled pixels the slow and obvious way."""
    picked = []
    probabilities = logits.softmax(1).numpy()
    for n, h, w in np.ndindex(*labels.shape):
        if labels[n, h, w] != 255:
            picked.append(-np.log(probabilities[n, int(labels[n, h, w]), h, w]))
    return float(np.mean(picked))


def test_loss_is_main_plus_weighted_auxiliary() -> None:
    outputs, labels = make_outputs()
    loss = compute_loss(outputs, labels, aux_weight=0.4, unlabeled_id=255)
    expected = cross_entropy(outputs.logits, labels) + 0.4 * cross_entropy(
        outputs.aux_logits, labels
    )
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_unlabeled_pixels_do_not_count() -> None:
    outputs, labels = make_outputs()
    changed = outputs.logits.clone()
    changed[0, :, 0] += 5 * torch.randn(3, 5)
    one = compute_loss(outputs, labels, aux_weight=0, unlabeled_id=255)
    two = compute_loss(outputs._replace(logits=changed), labels, aux_weight=0, unlabeled_id=255)
    assert float(one) == pytest.approx(float(two))


def test_rare_classes_weigh_more() -> None:
    weights = balance_classes(torch.tensor([100, 10, 1, 0]), 0.5)
    assert weights[1] == 1
    assert weights[0] < 1 < weights[2]
    assert weights[3] == 1
    assert float(weights[2]) == pytest.approx(10**0.5, rel=1e-5)


def test_balance_of_zero_is_no_weighting() -> None:
    assert balance_classes(torch.tensor([100, 10, 1]), 0.0).tolist() == [1, 1, 1]


def test_jaccard_loss_is_one_minus_the_mean_iou_of_sure_predictions() -> None:
    labels = torch.tensor([[[0, 0, 1, 1], [0, 1, 1, 255]]])
    predicted = torch.tensor([[[0, 1, 1, 1], [0, 1, 0, 2]]])
    logits = 100 * torch.nn.functional.one_hot(predicted, 3).permute(0, 3, 1, 2).float()
    # class 0: 2 of 4, class 1: 3 of 5; class 2 is absent, and predicted on void alone
    loss = compute_jaccard_loss(logits, labels, 255)
    assert float(loss) == pytest.approx(1 - (2 / 4 + 3 / 5) / 2)


def test_jaccard_loss_leads_to_the_truth_and_ignores_unlabeled_pixels() -> None:
    _, labels = make_outputs()
    logits = torch.zeros(2, 3, 4, 5, requires_grad=True)
    compute_jaccard_loss(logits, labels, 255).backward()
    assert logits.grad is not None
    assert (logits.grad[0, :, 0] == 0).all()
    labelled = labels.masked_fill(labels == 255, 0).unsqueeze(1)
    assert (logits.grad.gather(1, labelled)[labels.unsqueeze(1) != 255] < 0).all()


def test_jaccard_loss_of_nothing_labelled_is_zero_with_a_gradient() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = compute_jaccard_loss(logits, torch.full((1, 2, 2), 255), 255)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None


def test_jaccard_weight_adds_its_share() -> None:
    outputs, labels = make_outputs()
    plain = compute_loss(outputs, labels, aux_weight=0.4, unlabeled_id=255)
    more = compute_loss(outputs, labels, aux_weight=0.4, unlabeled_id=255, jaccard_weight=2.0)
    jaccard = compute_jaccard_loss(outputs.logits, labels, 255)
    assert float(more - plain) == pytest.approx(2 * float(jaccard), rel=1e-5)
