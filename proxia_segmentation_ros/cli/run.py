"""`proxia run`: the node without a launch system."""

from typing import Annotated

import typer

from proxia_segmentation_ros.cli.options import Set

# What ROS itself understands may follow `--`, for example `-- -r __node:=front`.
CONTEXT_SETTINGS = {"allow_extra_args": True}

ParamsFile = Annotated[str, typer.Option(help="YAML file of parameters.")]
ImageTopic = Annotated[
    str,
    typer.Option(
        help="Image topic of the only camera, `camera`, or of the first in --set camera_names; "
        "of one in a params file write --set cameras.left.image_topic=/topic."
    ),
]
Transport = Annotated[str, typer.Option(help="raw or compressed, of the same camera.")]
Weights = Annotated[str, typer.Option(help="Shipped name or path of the weights.")]
Backend = Annotated[str, typer.Option(help="auto, openvino, tensorrt or torch.")]
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
    """Run the segmentation node until Ctrl-C; an empty option leaves it to the params file."""
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
