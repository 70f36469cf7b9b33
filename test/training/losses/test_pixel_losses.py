"""Losses of one logit map, and their sum over a network's outputs."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fill_rule import golden_labels

from proxia_segmentation_ros.model.network.hrnet_ocr import Outputs
from proxia_segmentation_ros.training.losses.objective import Objective
from proxia_segmentation_ros.training.losses.pixel_losses import (
    balance_classes,
    compute_cross_entropy,
    compute_image_weighted_cross_entropy,
    compute_jaccard_loss,
    compute_relaxed_cross_entropy,
)
from proxia_segmentation_ros.training.losses.region_mutual_information import (
    compute_bce_loss,
    compute_rmi_loss,
)

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "losses.json").read_text())


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


def test_unlabeled_pixels_do_not_count() -> None:
    outputs, labels = make_outputs()
    changed = outputs.logits.clone()
    changed[0, :, 0] += 5 * torch.randn(3, 5)
    one = compute_cross_entropy(outputs.logits, labels, 255)
    two = compute_cross_entropy(changed, labels, 255)
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
    plain = Objective(aux_weight=0.4, unlabeled_id=255)(outputs, labels)
    more = Objective(aux_weight=0.4, unlabeled_id=255, jaccard_weight=2.0)(outputs, labels)
    jaccard = compute_jaccard_loss(outputs.logits, labels, 255)
    assert float(more - plain) == pytest.approx(2 * float(jaccard), rel=1e-5)


def make_golden() -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(b"golden-logits")))
    logits = (3 * generator.standard_normal((2, 19, 64, 96))).astype(np.float32)
    labels = [golden_labels(64, 96, f"golden-label-{index}") for index in range(2)]
    return torch.from_numpy(logits), torch.from_numpy(np.stack(labels))


def test_losses_are_the_references() -> None:
    logits, labels = make_golden()
    got = {
        "ce": compute_cross_entropy(logits, labels, 255),
        "img_wt_ce": compute_image_weighted_cross_entropy(logits, labels, 255, batch_sum=True),
        "rmi_bce_only": compute_bce_loss(logits, labels, 255),
        "rmi_part": compute_rmi_loss(logits, labels, 255, bce_share=0.0),
        "rmi_total": compute_rmi_loss(logits, labels, 255),
    }
    assert set(got) == set(GOLDEN)
    for name, value in got.items():
        # rmi_total is a small difference of two large parts.
        assert float(value) == pytest.approx(GOLDEN[name], rel=1e-4, abs=3e-3), name


@pytest.mark.parametrize(("name", "step"), [("ce", 4), ("rmi", 2)])
def test_gradients_are_the_references(name: str, step: int, shared_dir: Path) -> None:
    logits, labels = make_golden()
    logits.requires_grad_()
    losses: dict[str, Any] = {"ce": compute_cross_entropy, "rmi": compute_rmi_loss}
    losses[name](logits, labels, 255).backward()
    assert logits.grad is not None
    with np.load(shared_dir / "golden" / "losses_grad.npz") as arrays:
        [key] = [one for one in arrays.files if one.startswith(name) or f"_{name}" in one]
        wanted = torch.from_numpy(arrays[key])
    got = logits.grad[..., ::step, ::step]
    scale = float(wanted.abs().max())
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4 * scale)


def test_region_loss_prefers_the_truth() -> None:
    _, labels = make_golden()
    truth = torch.nn.functional.one_hot(labels.masked_fill(labels == 255, 0), 19)
    right = 8 * truth.permute(0, 3, 1, 2).float() - 4
    wrong = right.roll(1, 1)
    assert compute_rmi_loss(right, labels, 255) < compute_rmi_loss(wrong, labels, 255)


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
    _, labels = make_outputs()
    logits = torch.randn(2, 3, 4, 5, requires_grad=True)
    compute_relaxed_cross_entropy(logits, labels, 255).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert (logits.grad[0, :, 0] == 0).all()


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
