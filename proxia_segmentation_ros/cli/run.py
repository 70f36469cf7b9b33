"""`proxia run`: the node without a launch system."""

from typing import Annotated

import typer

from proxia_segmentation_ros.cli.options import Set

# What ROS itself understands may follow `--`, for example `-- --ros-args -r __ns:=/front`.
CONTEXT_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": False}


def run(
    context: typer.Context,
    params_file: Annotated[str, typer.Option(help="YAML file of parameters.")] = "",
    assignments: Set = None,
    image_topic: Annotated[str, typer.Option(help="Topic of the camera's images.")] = "",
    transport: Annotated[str, typer.Option(help="raw or compressed.")] = "",
    weights: Annotated[str, typer.Option(help="Shipped name or path of the weights.")] = "",
    backend: Annotated[str, typer.Option(help="auto, openvino, tensorrt or torch.")] = "",
    namespace: Annotated[str, typer.Option(help="ROS namespace of the node.")] = "",
    use_sim_time: Annotated[bool, typer.Option(help="Take the time from /clock.")] = False,
    log_level: Annotated[str, typer.Option(help="debug, info, warn, error or fatal.")] = "",
) -> None:
    """Run the segmentation node until Ctrl-C."""
    from proxia_segmentation_ros.apps.node_arguments import (
        NodeLaunch,
        make_ros_arguments,
        parse_assignments,
    )

    parameters = parse_assignments(assignments or [])
    camera = (parameters.get("camera_names") or ["camera"])[0]
    named = {
        f"cameras.{camera}.image_topic": image_topic,
        f"cameras.{camera}.transport": transport,
        "model.weights": weights,
        "inference.backend": backend,
    }
    parameters.update({name: value for name, value in named.items() if value})
    launch = NodeLaunch(
        params_file=params_file,
        parameters=parameters,
        namespace=namespace,
        use_sim_time=use_sim_time,
        log_level=log_level,
    )
    arguments = make_ros_arguments(launch)

    from proxia_segmentation_ros.ros.environment import prepare_environment

    prepare_environment()
    from proxia_segmentation_ros.ros.node import main

    raise typer.Exit(main([*arguments, "--", *context.args] if context.args else arguments) or 0)
