"""`proxia evaluate`: evaluate weights on images with ground-truth masks."""

# Parameters are read from the context, which knows which of them were typed.
# ruff: noqa: ARG001

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxia_segmentation_ros.apps.defaults import MAX_WORST_IMAGES, TILE_THRESHOLD, WORST_IMAGES
from proxia_segmentation_ros.cli.options import (
    AverageScales,
    Backend,
    DryRun,
    Exact,
    Flip,
    InModelScales,
    NetworkSize,
    Overlap,
    Precision,
    RecipeOption,
    Set,
    TileBudget,
    TileThreshold,
    Weights,
    Window,
    show_examples,
)
from proxia_segmentation_ros.cli.recipes import is_first_process, read_settings, read_typed

if TYPE_CHECKING:
    from proxia_segmentation_ros.apps.evaluate.run import Evaluation

from proxia_segmentation_ros.cli.streams import print_line

EXAMPLES = show_examples(
    "proxia evaluate images masks",
    "proxia evaluate images masks --weights my.safetensors --page report.html",
    "proxia evaluate --dataset camvid --root CAMVID --split test",
    "proxia evaluate --recipe eval_cityscapes --set data.root=CITYSCAPES",
)

Images = Annotated[str, typer.Argument(help="Folder of images.")]
Labels = Annotated[str, typer.Argument(help="Folder of masks with the images' names.")]
DataSet = Annotated[
    str,
    typer.Option(help="A data set of docs/datasets.md in place of two folders.", metavar="NAME"),
]
Root = Annotated[str, typer.Option(help="Folder of the data set.", metavar="FOLDER")]
DataSetOption = Annotated[
    list[str] | None,
    typer.Option(help="Option of the data set; can be repeated.", metavar="NAME=VALUE"),
]
MaskLabelSet = Annotated[
    str,
    typer.Option(
        help="Label set of the masks: a shipped name or a YAML file; by default the weights'."
    ),
]
Boundary = Annotated[
    float,
    typer.Option(
        help="Also compute the boundary F-score with this tolerance: pixels, or below 1 a share "
        "of the image's diagonal."
    ),
]
Calibration = Annotated[
    bool,
    typer.Option(
        "--calibration/--no-calibration",
        help="Also compute the expected calibration error of the confidences.",
    ),
]
FitTemperature = Annotated[
    bool,
    typer.Option(
        "--fit-temperature/--no-fit-temperature",
        help="Find the temperature with the lowest negative log-likelihood; runs in PyTorch.",
    ),
]
SaveCalibrated = Annotated[
    str,
    typer.Option(
        help="Write a copy of the weights with the fitted temperature.",
        metavar="FILE.safetensors",
    ),
]
Page = Annotated[
    str,
    typer.Option(
        help="Write an HTML page with all results, calibration and the worst images.",
        metavar="FILE.html",
    ),
]
Worst = Annotated[
    int, typer.Option(help=f"Number of worst images on the page, up to {MAX_WORST_IMAGES}.")
]
DATA_PARAMETERS = ("images", "labels", "label_set", "dataset", "root", "split")
# Settings whose names differ from their parameters'; an empty name is no setting.
NAMES = {**{name: f"data.{name}" for name in DATA_PARAMETERS}, "option": "", "out": ""}


def evaluate(
    context: typer.Context,
    images: Images = "",
    labels: Labels = "",
    dataset: DataSet = "folders",
    root: Root = ".",
    split: Annotated[str, typer.Option(help="Split of the data set.")] = "val",
    option: DataSetOption = None,
    weights: Weights = "default",
    label_set: MaskLabelSet = "",
    backend: Backend = "auto",
    precision: Precision = "auto",
    size: NetworkSize = "card",
    scales: InModelScales = "",
    tile_threshold: TileThreshold = TILE_THRESHOLD,
    tile_budget: TileBudget = 1.0,
    exact: Exact = False,
    flip: Flip = False,
    average_scales: AverageScales = "1.0",
    window: Window = "",
    overlap: Overlap = 0.25,
    boundary: Boundary = 0.0,
    calibration: Calibration = False,
    fit_temperature: FitTemperature = False,
    save_calibrated: SaveCalibrated = "",
    page: Page = "",
    worst: Worst = WORST_IMAGES,
    out: Annotated[
        Path | None, typer.Option(help="Also write the results to this JSON file.")
    ] = None,
    recipe: RecipeOption = "",
    assignments: Set = None,
    dry_run: DryRun = False,
) -> None:
    """Evaluate weights on images with masks: IoU by class and mean.

    Prints a table, and JSON where the output is no terminal. torchrun splits the images among
    several processes.
    """
    _run(context, out)


def _run(context: typer.Context, out: Path | None) -> None:
    from proxia_segmentation_ros.apps.evaluate.settings import EvaluationSettings
    from proxia_segmentation_ros.training.recipe import read_overrides

    # Values of the data set's options are YAML, like those of --set.
    options = read_overrides(context.params["option"] or [], "--option").assignments
    typed = read_typed(context, NAMES)
    typed |= {f"data.options.{name}": value for name, value in options}
    settings = read_settings(context, EvaluationSettings, "evaluate", typed)
    if settings is None:
        return
    from proxia_segmentation_ros.apps.evaluate.outputs import check_outputs, write_outputs
    from proxia_segmentation_ros.apps.evaluate.run import evaluate_weights
    from proxia_segmentation_ros.cli.progress import show_progress

    check_outputs(settings, out)
    with show_progress(is_quiet=not is_first_process()) as progress:
        result = evaluate_weights(settings, progress)
    if is_first_process():
        _show(result, out)
        for line in write_outputs(result):
            print_line(line)


def _show(evaluation: "Evaluation", out: Path | None) -> None:
    print(evaluation.to_text())
    text = json.dumps(evaluation.to_dict(), indent=2)
    if not sys.stdout.isatty():
        # For programs that read the output; on a terminal the table is enough.
        print(text)
    if out is not None:
        from proxia_segmentation_ros.apps.output_file import write_output

        write_output(out, f"{text}\n".encode())
