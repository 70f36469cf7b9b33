"""`proxia run`: run the node without a launch file."""

from typing import Annotated

import typer

from proxia_segmentation_ros.cli.options import Set, show_examples

EXAMPLES = show_examples(
    "proxia run --image-topic /camera/image_raw",
    "proxia run --params-file robot.yaml --set overlay.alpha=0.7",
    "proxia run --weights synthetic -- -r __node:=front",
)
# ROS arguments may follow `--`, for example `-- -r __node:=front`.
CONTEXT_SETTINGS = {"allow_extra_args": True}

ParamsFile = Annotated[str, typer.Option(help="YAML file with the node's parameters.")]
ImageTopic = Annotated[
    str,
    typer.Option(
        help="Image topic of the camera named `camera`, or of the first in --set camera_names. "
        "For a camera of the params file use --set cameras.NAME.image_topic=/topic."
    ),
]
Transport = Annotated[str, typer.Option(help="raw or compressed, for the same camera.")]
Weights = Annotated[str, typer.Option(help="Weights: a name of `proxia weights list` or a path.")]
Backend = Annotated[
    str, typer.Option(help="Library that runs the network: auto, openvino, tensorrt or torch.")
]
Namespace = Annotated[str, typer.Option(help="ROS namespace of the node.")]
UseSimTime = Annotated[bool, typer.Option(help="Take the time from /clock.")]
LogLevel = Annotated[str, typer.Option(help="debug, info, warn, error or fatal.")]


def run(
    context: typer.Context,
    params_file: ParamsFile = "",
    assignments: Set = None,
    image_topic: ImageTopic = "",
    transport: Transport = "",
    weights: Weights = "",
    backend: Backend = "",
    namespace: Namespace = "",
    use_sim_time: UseSimTime = False,
    log_level: LogLevel = "",
) -> None:
    """Run the segmentation node until Ctrl-C.

    Options that are not given keep the value of the params file, or the node's default.
    """
    from proxia_segmentation_ros.ros.client.node_arguments import (
        NodeLaunch,
        make_ros_arguments,
        name_parameters,
    )

    parameters = name_parameters(
        assignments or [],
        image_topic=image_topic,
        transport=transport,
        weights=weights,
        backend=backend,
    )
    launch = NodeLaunch(
        params_file=params_file,
        parameters=parameters,
        namespace=namespace,
        use_sim_time=use_sim_time,
        log_level=log_level,
    )
    arguments = [*make_ros_arguments(launch), *context.args]

    from proxia_segmentation_ros.ros.node.segmentation_node import main

    raise typer.Exit(main(arguments))
