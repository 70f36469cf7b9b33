"""Fixtures of the tests of benchmarks."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


class CountingProgress:
    """Counts the steps of the last task."""

    def __init__(self) -> None:
        self.steps = 0
        self.total: int | None = None

    def begin(self, text: str, total: int | None = None) -> None:
        self.steps, self.total = 0, total

    def advance(self) -> None:
        self.steps += 1


@pytest.fixture
def progress() -> CountingProgress:
    return CountingProgress()


@pytest.fixture
def fake_node(ros_domain: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that chooses what goes wrong in the fake node."""
    support = str(Path(__file__).parents[1] / "support")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([support, *sys.path]))
    monkeypatch.setattr(
        "proxia_segmentation_ros.benchmark.node_processes.LAST_LABELS_TIMEOUT_S", 1.0
    )
    return lambda mode: monkeypatch.setenv("FAKE_NODE", mode)
