"""Tiny weights on disk and a cache of compiled networks that the tests of this folder share."""

from pathlib import Path

import pytest
import torch
from tiny_network import make_card, make_network

from proxia_segmentation_ros.model.checkpoint import save_weights


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a weight file of a tiny network with 11 classes for 128x96."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    card = make_card()
    save_weights(path, make_network(card), card, dtype=torch.float32)
    return path


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder in which a network is compiled once for all tests."""
    return tmp_path_factory.mktemp("cache")
