"""Losses."""

import numpy as np
import pytest
import torch

from proxia_segmentation_ros.model.networks import Outputs
from proxia_segmentation_ros.training.losses import balance_classes, compute_loss


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
