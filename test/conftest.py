"""Fixtures and marks that tests of several rooms use."""

import fcntl
import importlib.util
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Domains whose ports stay below the ports that Linux gives to outgoing connections.
DOMAIN_IDS = range(1, 102)
# Where the participants of a domain listen (RTPS 9.6.1): more of them than a test has.
FIRST_PORT, PORTS_PER_DOMAIN, PORTS_OF_PARTICIPANTS = 7400, 250, range(10, 30)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and nothing else: a missing rclpy is a failure."""
    lacking = {}
    if importlib.util.find_spec("launch_ros") is None:
        lacking["needs_ros_install"] = "launch_ros has no wheel: run it on a ROS installation"
    if any(item.get_closest_marker("gpu") for item in items) and not _is_gpu_usable():
        lacking["gpu"] = "torch finds no GPU"
    for item in items:
        for name, reason in lacking.items():
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))


def _is_gpu_usable() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Return the folder of shared data, or skip the test where there is none."""
    named = os.environ.get("PROXIA_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip(f"no shared data at {folder}: set PROXIA_SHARED to it")
    return folder


def _check_free(domain_id: int) -> None:
    """Raise OSError where any participant is in the domain, be it the last test's."""
    for port in PORTS_OF_PARTICIPANTS:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("", FIRST_PORT + PORTS_PER_DOMAIN * domain_id + port))


def _lock_domain(domain_id: int) -> int | None:
    """Return a descriptor that keeps the domain ours, or None when somebody is in it."""
    path = Path(tempfile.gettempdir(), f"proxia_ros_domain_{domain_id}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _check_free(domain_id)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Put the test and what it starts into a ROS domain of its own on this machine alone."""
    for domain_id in random.sample(DOMAIN_IDS, len(DOMAIN_IDS)):
        descriptor = _lock_domain(domain_id)
        if descriptor is not None:
            break
    else:
        pytest.fail(f"every ROS domain from {DOMAIN_IDS[0]} to {DOMAIN_IDS[-1]} is in use")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain_id))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.delenv("ROS_LOCALHOST_ONLY", raising=False)
    if not os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE"):
        profile = ROOT / "config" / "fastdds_profile.xml"
        monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", str(profile))
    yield domain_id
    os.close(descriptor)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a weight file of a tiny network with 11 classes for 128x96."""
    import torch
    from tiny_network import make_card, make_network

    from proxia_segmentation_ros.model.checkpoint import save_weights

    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    card = make_card()
    save_weights(path, make_network(card), card, dtype=torch.float32)
    return path


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder in which a network is compiled once for all tests."""
    return tmp_path_factory.mktemp("cache")
