"""The losses with gradients written out, against autograd on the obvious formulas."""

import pytest
import torch
import torch.nn.functional as F

from proxia_segmentation_ros.training.losses.softmax_losses import compute_softmax_losses

CLASSES = 5


def make_case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    logits = 3 * torch.randn(2, CLASSES, 6, 7, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, CLASSES - 1, (2, 6, 7), generator=generator)
    labels[0, :2] = 255
    return logits.requires_grad_(), labels


def compute_obviously(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    cross_entropy = F.cross_entropy(logits, labels, weight=weights, ignore_index=255)
    mask = (labels != 255).unsqueeze(1)
    truth = F.one_hot(labels.masked_fill(labels == 255, 0), CLASSES).permute(0, 3, 1, 2) * mask
    probability = logits.softmax(1) * mask
    overlap = (probability * truth).sum((0, 2, 3))
    union = (probability + truth).sum((0, 2, 3)) - overlap
    is_present = truth.sum((0, 2, 3)) > 0
    return cross_entropy, 1 - (overlap / union)[is_present].mean()


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.0, 1.0), (0.7, 2.0)])
def test_values_and_gradients_are_those_of_the_formulas(
    shares: tuple[float, float], layout: torch.memory_format, is_weighted: bool
) -> None:
    logits, labels = make_case()
    weights = torch.linspace(0.5, 2, CLASSES, dtype=torch.float64) if is_weighted else None
    wanted = compute_obviously(logits, labels, weights)
    (shares[0] * wanted[0] + shares[1] * wanted[1]).backward()
    own = logits.detach().contiguous(memory_format=layout).requires_grad_()
    got = compute_softmax_losses(own, labels, 255, weights, with_jaccard=True)
    (shares[0] * got.cross_entropy + shares[1] * got.jaccard).backward()
    torch.testing.assert_close(torch.stack(got), torch.stack(wanted))
    torch.testing.assert_close(own.grad, logits.grad)


def test_cross_entropy_alone_has_its_gradient() -> None:
    logits, labels = make_case()
    compute_obviously(logits, labels, None)[0].backward()
    own = logits.detach().requires_grad_()
    losses = compute_softmax_losses(own, labels, 255, with_jaccard=False)
    losses.cross_entropy.backward()
    torch.testing.assert_close(own.grad, logits.grad)
    assert losses.jaccard == 0


def test_hopeless_pixel_still_pulls_with_all_its_weight() -> None:
    logits = torch.tensor([[400.0, 0.0]]).view(1, 2, 1, 1).requires_grad_()
    losses = compute_softmax_losses(logits, torch.ones(1, 1, 1).long(), 255, with_jaccard=False)
    losses.cross_entropy.backward()
    assert losses.cross_entropy > 80
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == [1.0, -1.0]


def test_hopeless_pixel_costs_a_finite_amount_without_denormal_numbers() -> None:
    # A processor that can't leave them out computes as in the test before.
    torch.set_flush_denormal(True)
    try:
        logits = torch.tensor([[400.0, 0.0]]).view(1, 2, 1, 1)
        losses = compute_softmax_losses(logits, torch.ones(1, 1, 1).long(), 255, with_jaccard=True)
    finally:
        torch.set_flush_denormal(False)
    assert 80 < losses.cross_entropy < 100


def test_half_precision_logits_get_gradients_of_their_type() -> None:
    logits, labels = make_case()
    half = logits.detach().bfloat16().requires_grad_()
    losses = compute_softmax_losses(half, labels, 255, with_jaccard=True)
    (losses.cross_entropy + losses.jaccard).backward()
    assert losses.cross_entropy.dtype == torch.float32
    assert half.grad is not None
    assert half.grad.dtype == torch.bfloat16


def test_nothing_labelled_is_no_loss() -> None:
    logits, labels = make_case()
    losses = compute_softmax_losses(logits, torch.full_like(labels, 255), 255, with_jaccard=True)
    (losses.cross_entropy + losses.jaccard).backward()
    assert torch.stack(losses).tolist() == [0, 0]
    assert logits.grad is not None
    assert not logits.grad.any()
