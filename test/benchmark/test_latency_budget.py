"""The trial of a latency budget: its phases, its figures and the core that it takes away."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from sample_files import write_images

from proxia_segmentation_ros.benchmark.latency_budget import (
    BudgetTrial,
    TrialFrame,
    describe_phase,
    run_budget_trial,
)
from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.inference import Segmentation

TIMEOUT_S = 20.0


class FakeSegmenter:
    """Takes no time; tells what it was asked and whether a core was taken meanwhile."""

    backend = "fake"
    precision = "f32"
    opened: ClassVar[list[dict]] = []

    @classmethod
    def from_weights(cls, weights, **options):
        cls.opened.append({"weights": weights, **options})
        return cls()

    def warm_up(self, size_hw):
        assert size_hw == (24, 32)

    def segment(self, image_HWC, *, stream):
        assert stream
        labels_HW = np.zeros(image_HWC.shape[:2], np.uint8)
        return Segmentation(labels_HW, None, (24, 32), 3, 5, (0.5, 1.0))

    def close(self):
        pass


class Steps:
    def __init__(self):
        self.count = 0

    def begin(self, text: str, total: int | None = None) -> None:
        self.total = total

    def advance(self):
        self.count += 1


@pytest.fixture
def busy(monkeypatch):
    """Commands of the processes that took a core, and whether they were ended."""
    seen = []

    class Process:
        def __init__(self, command):
            seen.append([command[-2:], "runs"])

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def kill(self):
            seen[-1][1] = "ended"

    monkeypatch.setattr(subprocess, "Popen", Process)
    return seen


def test_trial_takes_one_core_in_the_middle_and_describes_three_phases(
    tmp_path: Path, monkeypatch, busy
) -> None:
    write_images(tmp_path, ["a.png", "b.png"])
    monkeypatch.setattr("proxia_segmentation_ros.inference.Segmenter", FakeSegmenter)
    FakeSegmenter.opened.clear()
    steps = Steps()
    found = run_budget_trial(BudgetTrial(images=str(tmp_path), budget_ms=50.0, seconds=0.06), steps)
    assert list(found["phases"]) == ["before", "during", "after"]
    assert all(phase["frames"] > 0 for phase in found["phases"].values())
    assert found["phases"]["before"]["frames_by_scales"].keys() == {"0.5 1"}
    core, own = min(os.sched_getaffinity(0)), os.getpid()
    assert busy == [[[str(core), str(own)], "ended"]]
    assert [options["latency_budget_ms"] for options in FakeSegmenter.opened] == [50.0]
    assert (steps.count, steps.total) == (3, 3)


def test_without_a_budget_one_is_chosen_below_what_frames_take(
    tmp_path: Path, monkeypatch, busy
) -> None:
    write_images(tmp_path, ["a.png"])
    monkeypatch.setattr("proxia_segmentation_ros.inference.Segmenter", FakeSegmenter)
    FakeSegmenter.opened.clear()
    run_budget_trial(BudgetTrial(images=str(tmp_path), seconds=0.03), Steps())
    free, bounded = FakeSegmenter.opened
    assert free["latency_budget_ms"] == 0.0
    assert bounded["latency_budget_ms"] > 0


def test_figures_of_a_phase_count_late_frames_and_changes() -> None:
    frames = [TrialFrame(float(ms), (0.5, 1.0), 3 if ms < 90 else 1) for ms in range(1, 101)]
    found = describe_phase(frames, budget_ms=95.0)
    assert (found["frames"], found["within_budget"]) == (100, 0.95)
    assert found["p50_ms"] == pytest.approx(50.5)
    assert found["changes_of_what_ran"] == 1


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=tmp_path.name):
        run_budget_trial(BudgetTrial(images=str(tmp_path)), Steps())


def test_busy_loop_ends_by_itself_once_its_trial_was_killed() -> None:
    code = (
        "from proxia_segmentation_ros.benchmark.latency_budget import occupy_core\n"
        "with occupy_core(True):\n    print('busy', flush=True)\n    input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as trial:
        assert trial.stdout is not None
        assert trial.stdout.readline() == b"busy\n"
        trial.kill()
        try:
            # The loop has inherited the pipe: it closes with the last of the two.
            assert trial.communicate(timeout=TIMEOUT_S)[0] == b""
        finally:
            # Its group outlives it as long as the loop does.
            with suppress(ProcessLookupError):
                os.killpg(trial.pid, signal.SIGKILL)
