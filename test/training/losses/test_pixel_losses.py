"""Losses of one logit map."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fill_rule import check_golden_gradient, golden_losses_input

from proxia_segmentation_ros.training.losses.pixel_losses import (
    balance_classes,
    compute_cross_entropy,
    compute_image_weighted_cross_entropy,
    compute_jaccard_loss,
    compute_relaxed_cross_entropy,
)

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "losses.json").read_text())


def make_maps() -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits_NKHW of three classes, and labels_NHW whose first row is unlabeled."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    labels = torch.randint(0, 3, (2, 4, 5), generator=generator)
    labels[0, 0] = 255
    return logits, labels


def test_unlabeled_pixels_do_not_count() -> None:
    logits, labels = make_maps()
    changed = logits.clone()
    changed[0, :, 0] += 5 * torch.randn(3, 5)
    before = compute_cross_entropy(logits, labels, 255)
    after = compute_cross_entropy(changed, labels, 255)
    assert float(before) == pytest.approx(float(after))


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
    _, labels = make_maps()
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


def test_losses_are_the_references() -> None:
    logits, labels = golden_losses_input()
    got = {
        "ce": compute_cross_entropy(logits, labels, 255),
        "img_wt_ce": compute_image_weighted_cross_entropy(logits, labels, 255, batch_sum=True),
    }
    assert set(got) == {name for name in GOLDEN if not name.startswith("rmi")}
    for name, value in got.items():
        assert float(value) == pytest.approx(GOLDEN[name], rel=1e-4, abs=3e-3), name


def test_gradient_of_the_cross_entropy_equals_the_golden_one(shared_dir: Path) -> None:
    logits, labels = golden_losses_input()
    logits.requires_grad_()
    compute_cross_entropy(logits, labels, 255).backward()
    assert logits.grad is not None
    check_golden_gradient(shared_dir, "ce", logits.grad[..., ::4, ::4])


def test_classes_of_an_image_weigh_by_what_they_do_not_cover() -> None:
    logits = torch.zeros(1, 3, 1, 4)
    logits[0, 1] = 1.0
    labels = torch.tensor([[[0, 0, 0, 1]]])
    nll = -logits.log_softmax(1)[0, :, 0, 0]
    # class 0 weighs 1.25 three times, class 1 weighs 1.75 once
    wanted = (3.75 * nll[0] + 1.75 * nll[1]) / 5.5
    got = compute_image_weighted_cross_entropy(logits, labels, 255)
    assert float(got) == pytest.approx(float(wanted), rel=1e-5)


def test_image_without_labels_costs_nothing() -> None:
    labels = torch.full((2, 1, 4), 255)
    labels[0] = 0
    logits = torch.zeros(2, 3, 1, 4, requires_grad=True)
    loss = compute_image_weighted_cross_entropy(logits, labels, 255)
    loss.backward()
    assert loss.item() == pytest.approx(np.log(3) / 2)
    assert logits.grad is not None
    assert (logits.grad[1] == 0).all()


def test_border_pixels_may_be_either_class() -> None:
    labels = torch.tensor([[[0, 0, 0, 1, 1, 1]]])
    logits = torch.zeros(1, 3, 1, 6)
    logits[0, 0, 0, 3] = 50.0  # one pixel over the border: accepted
    assert float(compute_relaxed_cross_entropy(logits, labels, 255)) == pytest.approx(
        (4 * np.log(3) + np.log(3 / 2) + 0) / 6, rel=1e-5
    )
    logits[0, 0, 0, 5] = 50.0  # three pixels over it: wrong
    assert float(compute_relaxed_cross_entropy(logits, labels, 255)) > 8


def test_relaxed_loss_inside_a_class_is_cross_entropy() -> None:
    logits = torch.randn(2, 3, 6, 6)
    labels = torch.full((2, 6, 6), 2)
    torch.testing.assert_close(
        compute_relaxed_cross_entropy(logits, labels, 255),
        compute_cross_entropy(logits, labels, 255),
    )


def test_relaxed_loss_leaves_unlabeled_pixels_and_its_gradient_finite() -> None:
    _, labels = make_maps()
    logits = torch.randn(2, 3, 4, 5, requires_grad=True)
    compute_relaxed_cross_entropy(logits, labels, 255).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert (logits.grad[0, :, 0] == 0).all()
