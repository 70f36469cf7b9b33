"""What a network is trained for: its losses, added up."""

import numpy as np
import pytest
import torch

from proxia_segmentation_ros.model.network.hrnet_ocr import Outputs
from proxia_segmentation_ros.training.losses.objective import Objective
from proxia_segmentation_ros.training.losses.pixel_losses import (
    compute_cross_entropy,
    compute_jaccard_loss,
    compute_relaxed_cross_entropy,
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
    loss = Objective(aux_weight=0.4, unlabeled_id=255)(outputs, labels)
    expected = cross_entropy(outputs.logits, labels) + 0.4 * cross_entropy(
        outputs.aux_logits, labels
    )
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_jaccard_weight_adds_its_share() -> None:
    outputs, labels = make_outputs()
    plain = Objective(aux_weight=0.4, unlabeled_id=255)(outputs, labels)
    more = Objective(aux_weight=0.4, unlabeled_id=255, jaccard_weight=2.0)(outputs, labels)
    jaccard = compute_jaccard_loss(outputs.logits, labels, 255)
    assert float(more - plain) == pytest.approx(2 * float(jaccard), rel=1e-5)


def test_scales_are_supervised_at_the_size_of_the_labels() -> None:
    outputs, labels = make_outputs()
    low = torch.randn(2, 3, 2, 3)
    outputs = outputs._replace(logits_by_scale={0.5: low, 1.0: outputs.logits})
    plain = Objective(unlabeled_id=255)(outputs, labels)
    more = Objective(unlabeled_id=255, scale_weight=0.05)(outputs, labels)
    enlarged = torch.nn.functional.interpolate(low, size=(4, 5), mode="bilinear")
    wanted = compute_cross_entropy(enlarged, labels, 255) + compute_cross_entropy(
        outputs.logits, labels, 255
    )
    assert float(more - plain) == pytest.approx(0.05 * float(wanted), rel=1e-4)


def test_auxiliary_part_of_the_relaxed_loss_knows_no_class_weights() -> None:
    outputs, labels = make_outputs()
    weights = torch.tensor([5.0, 1.0, 0.2])
    weighted = Objective(unlabeled_id=255, loss="relaxed", class_weights_K=weights)
    wanted = compute_relaxed_cross_entropy(outputs.logits, labels, 255) + 0.4 * (
        compute_cross_entropy(outputs.aux_logits, labels, 255)
    )
    torch.testing.assert_close(weighted(outputs, labels), wanted)
