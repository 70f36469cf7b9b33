"""`proxia quantise`: make weights run in int8 on a CPU if the accuracy allows it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxia_segmentation_ros.apps.defaults import CALIBRATION_IMAGES, MAX_LOST_POINTS
from proxia_segmentation_ros.cli.options import show_examples

if TYPE_CHECKING:
    from proxia_segmentation_ros.apps.quantise import QuantiseSettings
    from proxia_segmentation_ros.model.quantisation import Quantisation

from proxia_segmentation_ros.cli.streams import print_line

EXAMPLES = show_examples(
    "proxia quantise default --images cal --val val --truth ids -o a.safetensors",
)


def quantise(
    weights: Annotated[
        str, typer.Argument(help="Name or path of the weights.", metavar="NAME|PATH")
    ],
    images: Annotated[
        Path, typer.Option(help="Calibration images, like those of the camera.", metavar="FOLDER")
    ],
    val: Annotated[
        str, typer.Option(help="Other images, to measure the accuracy on.", metavar="FOLDER")
    ],
    truth: Annotated[str, typer.Option(help="Masks of the --val images.", metavar="FOLDER")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .safetensors.")],
    count: Annotated[
        int, typer.Option(help="Number of calibration images at most.", min=1)
    ] = CALIBRATION_IMAGES,
    gate: Annotated[
        float,
        typer.Option(help="Points of mIoU (0 to 100) that int8 may lose at most.", min=0),
    ] = MAX_LOST_POINTS,
) -> None:
    """Write a copy of the weights that runs in int8 on a CPU.

    Finds the value range of every layer on the calibration images, evaluates int8 against the
    float network and writes nothing if int8 loses more than --gate.
    """
    from proxia_segmentation_ros.apps.evaluate.settings import EvaluationData
    from proxia_segmentation_ros.apps.quantise import QuantiseSettings, quantise_weights
    from proxia_segmentation_ros.cli.progress import show_progress

    settings = QuantiseSettings(
        weights=weights,
        images=images,
        truth=EvaluationData(images=val, labels=truth),
        out=out,
        count=count,
        gate_points=gate,
    )
    with show_progress() as progress:
        found = quantise_weights(settings, progress)
    _report(settings, found)


def _report(settings: "QuantiseSettings", found: "Quantisation") -> None:
    from proxia_segmentation_ros.backends.precision import choose_precision, read_cpu_flags

    print_line(f"{settings.out}: {settings.weights} with the ranges of {len(found.ranges)} layers")
    print_line(f"ranges of {found.images} images of {settings.images}")
    change = "lost" if found.lost_points >= 0 else "gained"
    points = abs(found.lost_points)
    print_line(
        f"mIoU {found.miou:.4f}, {points:.2f} points {change}, "
        f"a loss of {settings.gate_points:g} allowed"
    )
    print_line(f"pixels labelled as in {found.compared_with}: {100 * found.agreement:.2f} %")
    print_line(f"{found.speedup:.2f} times the speed of {found.compared_with} on {found.cpu}")
    if choose_precision("auto", "openvino", read_cpu_flags(), found) != "int8":
        print_line("precision auto does not take it on this CPU; --precision int8 does")
