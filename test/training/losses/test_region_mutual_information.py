"""The region mutual information loss against NVIDIA/semantic-segmentation's."""

import json
from pathlib import Path

import pytest
import torch
from fill_rule import check_golden_gradient, golden_losses_input

from proxia_segmentation_ros.training.losses.region_mutual_information import (
    compute_bce_loss,
    compute_rmi_loss,
)

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "losses.json").read_text())


def test_losses_are_the_references() -> None:
    logits, labels = golden_losses_input()
    got = {
        "rmi_bce_only": compute_bce_loss(logits, labels, 255),
        "rmi_part": compute_rmi_loss(logits, labels, 255, bce_share=0.0),
        "rmi_total": compute_rmi_loss(logits, labels, 255),
    }
    assert set(got) == {name for name in GOLDEN if name.startswith("rmi")}
    for name, value in got.items():
        # rmi_total is a small difference of two large parts.
        assert float(value) == pytest.approx(GOLDEN[name], rel=1e-4, abs=3e-3), name


def test_gradient_equals_the_golden_one(shared_dir: Path) -> None:
    logits, labels = golden_losses_input()
    logits.requires_grad_()
    compute_rmi_loss(logits, labels, 255).backward()
    assert logits.grad is not None
    check_golden_gradient(shared_dir, "rmi", logits.grad[..., ::2, ::2])


def test_region_loss_prefers_the_truth() -> None:
    _, labels = golden_losses_input()
    truth = torch.nn.functional.one_hot(labels.masked_fill(labels == 255, 0), 19)
    right = 8 * truth.permute(0, 3, 1, 2).float() - 4
    wrong = right.roll(1, 1)
    assert compute_rmi_loss(right, labels, 255) < compute_rmi_loss(wrong, labels, 255)
