"""Optimisers that go on with the moments of another run."""

import torch
from torch import nn

from proxia_segmentation_ros.training.optimisers import load_moments, make_optimiser
from proxia_segmentation_ros.training.settings import OptimiserSettings


class Weights(nn.Module):
    """A matrix and a bias, filled with one number."""

    def __init__(self, device: str = "cpu") -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.full((2, 3), 0.5, device=device))
        self.bias = nn.Parameter(torch.full((3,), 0.5, device=device))

    def pull(self, optimiser: torch.optim.Optimizer) -> None:
        for parameter in self.parameters():
            parameter.grad = torch.full_like(parameter, 0.3)
        optimiser.step()


def make_older(weights: Weights) -> torch.optim.Optimizer:
    """Return AdamW as trainers before the fused one made it."""
    groups = [
        {"params": [weights.matrix], "weight_decay": 0.1},
        {"params": [weights.bias], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.01)


def test_moments_of_an_older_implementation_go_on_as_they_would_have() -> None:
    older, weights = Weights(), Weights()
    before = make_older(older)
    older.pull(before)
    weights.load_state_dict(older.state_dict())
    optimiser = make_optimiser(weights, OptimiserSettings(learning_rate=0.01, weight_decay=0.1))
    load_moments(optimiser, before.state_dict())
    assert all(group["fused"] for group in optimiser.param_groups)
    for _ in range(3):
        older.pull(before)
        weights.pull(optimiser)
    torch.testing.assert_close(weights.state_dict(), older.state_dict())


def test_count_of_steps_comes_to_the_device_of_the_weights() -> None:
    older, weights = Weights(), Weights("meta")
    before = make_older(older)
    older.pull(before)
    optimiser = make_optimiser(weights, OptimiserSettings())
    load_moments(optimiser, before.state_dict())
    devices = {
        moments.device.type for state in optimiser.state.values() for moments in state.values()
    }
    assert devices == {"meta"}


def test_decay_and_rate_stay_those_of_the_recipe() -> None:
    before = make_older(Weights())
    optimiser = make_optimiser(Weights(), OptimiserSettings(learning_rate=0.5, weight_decay=0.25))
    load_moments(optimiser, before.state_dict())
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.25, 0.0]
    assert [group["lr"] for group in optimiser.param_groups] == [0.5, 0.5]
