"""Whether a latency budget holds while another process occupies a core for a while."""

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
MAX_IMAGES = 120
# A default budget is this share of the median time of so many frames without a budget.
UNBOUNDED_FRAMES = 30
BUDGET_SHARE = 0.75
# Ends when it gets another parent: the trial that should have ended it was killed.
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
    """`budget_ms` 0 is three quarters of the median time of a frame without a budget."""

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
    """Label a clip repeatedly; during the middle third a busy loop is pinned to one core.

    Raises:
        InputError: there are no images.
        ConfigError: the network has one scale only, or the budget is out of range.
    """
    images = [read_rgb(path) for path in list_images(Path(trial.images))[:MAX_IMAGES]]
    budget_ms = trial.budget_ms or BUDGET_SHARE * _measure_unbounded_ms(trial, images)
    segmenter = _open(trial, budget_ms)
    segmenter.warm_up(_get_size(images[0]))
    progress.begin("labelling", len(PHASES))
    frames: dict[str, list[TrialFrame]] = {}
    clip = _repeat(images)
    for phase in PHASES:
        with occupy_core(phase == "during"):
            frames[phase] = list(_label_for(segmenter, clip, trial.seconds / len(PHASES)))
        progress.advance()
    report = {
        "weights": trial.weights,
        "backend": segmenter.backend,
        "precision": segmenter.precision,
        "scales": list(trial.scales),
        "budget_ms": round(budget_ms, 1),
        "cores": len(os.sched_getaffinity(0)),
        "phases": {phase: describe_phase(frames[phase], budget_ms) for phase in PHASES},
    }
    segmenter.close()
    return report


def describe_phase(frames: Sequence[TrialFrame], budget_ms: float) -> dict[str, Any]:
    """Return frame times, the share within the budget, and the scales and tiles that ran."""
    times_ms = np.array([frame.elapsed_ms for frame in frames])
    p50, p95, p99 = np.percentile(times_ms, (50, 95, 99)).round(1).tolist()
    settings = [(frame.scales, frame.tiles_run) for frame in frames]
    scales = Counter(" ".join(f"{scale:g}" for scale in frame.scales) for frame in frames)
    return {
        "frames": len(frames),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "within_budget": round(float(np.mean(times_ms <= budget_ms)), 4),
        "mean_tiles_run": round(float(np.mean([frame.tiles_run for frame in frames])), 2),
        "frames_by_scales": dict(scales),
        "changes_of_what_ran": sum(a != b for a, b in itertools.pairwise(settings)),
    }


def _measure_unbounded_ms(trial: BudgetTrial, images: Sequence[np.ndarray]) -> float:
    segmenter = _open(trial, 0.0)
    segmenter.warm_up(_get_size(images[0]))
    clip = _repeat(images)
    times_ms = [_label(segmenter, next(clip)).elapsed_ms for _ in range(UNBOUNDED_FRAMES)]
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
    segmentation = segmenter.segment(image_HWC, stream=STREAM)
    elapsed_ms = 1e3 * (time.perf_counter() - began_s)
    return TrialFrame(elapsed_ms, segmentation.scales, segmentation.tiles_run)


def _repeat(images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    while True:
        yield from images


def _get_size(image_HWC: np.ndarray) -> tuple[int, int]:
    return image_HWC.shape[0], image_HWC.shape[1]


@contextmanager
def occupy_core(is_occupied: bool) -> Iterator[None]:
    """Keep the first of this process's cores busy during the block, if asked to."""
    if not is_occupied:
        yield
        return
    core = min(os.sched_getaffinity(0))
    with subprocess.Popen([sys.executable, "-c", BUSY_CODE, str(core), str(os.getpid())]) as busy:
        try:
            yield
        finally:
            busy.kill()
