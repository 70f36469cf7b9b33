"""`proxia quantise`: let weights run in 8-bit integers on a CPU, where little is lost."""

from pathlib import Path
from typing import Annotated

import typer


def quantise(
    weights: Annotated[str, typer.Argument(help="Shipped name or path.", metavar="NAME|PATH")],
    images: Annotated[
        Path, typer.Option(help="Folder of images like the camera's, to find ranges on.")
    ],
    val: Annotated[str, typer.Option(help="Folder of other images, for the trial.")],
    truth: Annotated[str, typer.Option(help="Folder of their masks.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .safetensors.")],
    count: Annotated[int, typer.Option(help="Images to find ranges on, at most.", min=1)] = 100,
    gate: Annotated[
        float, typer.Option(help="Points of mIoU that may be lost; more is refused.", min=0)
    ] = 0.5,
) -> None:
    """Find the ranges of every layer, score int8 against float, write a copy that knows them."""
    from proxia_segmentation_ros.apps.evaluate.settings import EvaluationData
    from proxia_segmentation_ros.apps.quantise import QuantiseSettings, quantise_weights
    from proxia_segmentation_ros.backends.precision import choose_precision, read_cpu_flags
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
    print(f"{out}: {weights} with the ranges of {len(found.ranges)} layers")
    print(f"ranges of {found.images} images of {images}")
    change = "lost" if found.lost_points >= 0 else "gained"
    points = abs(found.lost_points)
    print(f"mIoU {found.miou:.4f}, {points:.2f} points {change}, a loss of {gate:g} allowed")
    print(f"pixels labelled as in {found.compared_with}: {100 * found.agreement:.2f} %")
    print(f"{found.speedup:.2f} times the speed of {found.compared_with} on {found.cpu}")
    if choose_precision("auto", "openvino", read_cpu_flags(), found) != "int8":
        print("precision auto does not take it on this CPU; --precision int8 does")
