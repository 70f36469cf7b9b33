"""Whether a latency budget holds while another process takes a core away and gives it back."""

import itertools
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from proxia_segmentation_ros.progress import Progress
from proxia_segmentation_ros.sources.frame_sources import list_images, read_rgb

if TYPE_CHECKING:
    from proxia_segmentation_ros.inference import Segmenter

PHASES = ("before", "during", "after")
STREAM = "trial"
MOST_IMAGES = 120
# Frames without a budget, from which one is chosen where none is given.
FREE_FRAMES = 30
SHARE_OF_FREE = 0.75
# It ends once its parent is another: the trial that would end it was killed itself.
BUSY_CODE = """
import os, sys
core, parent = map(int, sys.argv[1:])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {core})
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@dataclass(frozen=True, kw_only=True)
class BudgetTrial:
    """`budget_ms` 0 takes three quarters of what frames take without one."""

    images: str
    weights: str = "attention"
    backend: str = "auto"
    precision: str = "auto"
    scales: tuple[float, ...] = (0.5, 1.0, 2.0)
    budget_ms: float = 0.0
    seconds: float = 60.0


@dataclass(frozen=True)
class TrialFrame:
    """One labelled frame of a phase."""

    elapsed_ms: float
    scales: tuple[float, ...]
    tiles_run: int


def run_budget_trial(trial: BudgetTrial, progress: Progress) -> dict[str, Any]:
    """Label a clip over and over; in the middle third a busy loop is pinned to one core.

    Raises:
        InputError: there are no images.
        ConfigError: the network has one scale only, or the budget is out of range.
    """
    images = [read_rgb(path) for path in list_images(Path(trial.images))[:MOST_IMAGES]]
    budget_ms = trial.budget_ms or SHARE_OF_FREE * _measure_free(trial, images)
    segmenter = _open(trial, budget_ms)
    segmenter.warm_up(_get_size(images[0]))
    progress.begin("labelling", len(PHASES))
    frames: dict[str, list[TrialFrame]] = {}
    clip = _repeat(images)
    for phase in PHASES:
        with take_core(phase == "during"):
            frames[phase] = list(_label_for(segmenter, clip, trial.seconds / len(PHASES)))
        progress.advance()
    found = {
        "weights": trial.weights,
        "backend": segmenter.backend,
        "precision": segmenter.precision,
        "scales": list(trial.scales),
        "budget_ms": round(budget_ms, 1),
        "cores": len(os.sched_getaffinity(0)),
        "phases": {phase: describe_phase(frames[phase], budget_ms) for phase in PHASES},
    }
    segmenter.close()
    return found


def describe_phase(frames: Sequence[TrialFrame], budget_ms: float) -> dict[str, Any]:
    """Return times, how many kept the budget, and what ran; the first frames count too."""
    times_ms = np.array([one.elapsed_ms for one in frames])
    p50, p95, p99 = np.percentile(times_ms, (50, 95, 99)).round(1).tolist()
    kinds = [(one.scales, one.tiles_run) for one in frames]
    scales = Counter(" ".join(f"{scale:g}" for scale in one.scales) for one in frames)
    return {
        "frames": len(frames),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "within_budget": round(float(np.mean(times_ms <= budget_ms)), 4),
        "mean_tiles_run": round(float(np.mean([one.tiles_run for one in frames])), 2),
        "frames_by_scales": dict(scales),
        "changes_of_what_ran": sum(a != b for a, b in itertools.pairwise(kinds)),
    }


def _measure_free(trial: BudgetTrial, images: Sequence[np.ndarray]) -> float:
    segmenter = _open(trial, 0.0)
    segmenter.warm_up(_get_size(images[0]))
    clip = _repeat(images)
    times_ms = [_label(segmenter, next(clip)).elapsed_ms for _ in range(FREE_FRAMES)]
    segmenter.close()
    return float(np.median(times_ms))


def _open(trial: BudgetTrial, budget_ms: float) -> "Segmenter":
    from proxia_segmentation_ros.inference import Segmenter

    return Segmenter.from_weights(
        trial.weights,
        backend=trial.backend,
        precision=trial.precision,
        scales=trial.scales,
        latency_budget_ms=budget_ms,
    )


def _label_for(
    segmenter: "Segmenter", clip: Iterator[np.ndarray], seconds: float
) -> Iterator[TrialFrame]:
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        yield _label(segmenter, next(clip))


def _label(segmenter: "Segmenter", image_HWC: np.ndarray) -> TrialFrame:
    began_s = time.perf_counter()
    found = segmenter.segment(image_HWC, stream=STREAM)
    return TrialFrame(1e3 * (time.perf_counter() - began_s), found.scales, found.tiles_run)


def _repeat(images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    while True:
        yield from images


def _get_size(image_HWC: np.ndarray) -> tuple[int, int]:
    return image_HWC.shape[0], image_HWC.shape[1]


@contextmanager
def take_core(is_taken: bool) -> Iterator[None]:
    """Keep the first of this process's cores busy meanwhile."""
    if not is_taken:
        yield
        return
    core = min(os.sched_getaffinity(0))
    with subprocess.Popen([sys.executable, "-c", BUSY_CODE, str(core), str(os.getpid())]) as busy:
        try:
            yield
        finally:
            busy.kill()
