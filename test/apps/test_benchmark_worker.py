import os
import subprocess

import pytest

from proxia_segmentation_ros.apps.answering_process import AnsweringProcess
from proxia_segmentation_ros.apps.bare_call import BareCall
from proxia_segmentation_ros.errors import BackendError

SETTINGS = {"seed": 1, "size_hw": [64, 64], "weights": "synthetic"}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """Return the processes that are started from now on."""
    processes: list[subprocess.Popen[str]] = []

    class Noted(subprocess.Popen[str]):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            processes.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return processes


def test_process_is_gone_when_nobody_waits_for_its_network(
    started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_self: AnsweringProcess, _question: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(AnsweringProcess, "ask", interrupt)
    with pytest.raises(KeyboardInterrupt):
        BareCall(SETTINGS, os.environ)
    (process,) = started
    assert process.poll() is not None
    assert process.stdin is not None
    assert process.stdin.closed


def test_process_that_can_not_load_its_network_is_told(
    started: list[subprocess.Popen[str]],
) -> None:
    with pytest.raises(BackendError, match="the process of the bare call ended with 1"):
        BareCall({**SETTINGS, "weights": "none"}, os.environ)
    (process,) = started
    assert process.stdout is not None
    assert process.stdout.closed
