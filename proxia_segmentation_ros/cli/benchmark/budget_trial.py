"""`proxia benchmark budget`: a latency budget while a busy loop occupies a core."""

from typing import Annotated

import typer

from proxia_segmentation_ros.cli.benchmark.files import print_json, write_json
from proxia_segmentation_ros.cli.benchmark.options import OutToo
from proxia_segmentation_ros.cli.options import Backend, InModelScales, Precision, Weights


def budget(
    images: Annotated[str, typer.Argument(help="Folder of images, a clip.", metavar="FOLDER")],
    weights: Weights = "attention",
    backend: Backend = "auto",
    precision: Precision = "auto",
    scales: InModelScales = "0.5,1.0,2.0",
    budget_ms: Annotated[
        float, typer.Option(help="The budget; 0 takes three quarters of a frame's time.", min=0)
    ] = 0.0,
    seconds: Annotated[float, typer.Option(help="Length of the whole run.", min=3)] = 60.0,
    out: OutToo = None,
) -> None:
    """Label a clip within a latency budget; a busy loop has one core in the middle third."""
    from proxia_segmentation_ros.apps.segmenter_settings import read_scales
    from proxia_segmentation_ros.benchmark.latency_budget import BudgetTrial, run_budget_trial
    from proxia_segmentation_ros.cli.progress import show_progress

    trial = BudgetTrial(
        images=images,
        weights=weights,
        backend=backend,
        precision=precision,
        scales=read_scales(scales),
        budget_ms=budget_ms,
        seconds=seconds,
    )
    with show_progress() as progress:
        figures = run_budget_trial(trial, progress)
    print_json(figures)
    write_json(figures, out)
