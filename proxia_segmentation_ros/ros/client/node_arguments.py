"""Builds the ROS arguments of the segmentation node and validates its parameters."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from proxia_segmentation_ros.config import NodeSettings, list_parameters
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.parsing import parse_yaml


@dataclass(frozen=True, kw_only=True)
class NodeLaunch:
    """Arguments of a node; an empty string leaves the default."""

    params_file: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    node_name: str = ""
    namespace: str = ""
    log_level: str = ""
    use_sim_time: bool = False


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Read `name=value` pairs; values are YAML, as on a ROS command line.

    Raises:
        ConfigError: a pair without `=`, or a value that is no YAML.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name:
            raise ConfigError.from_parts(
                f"--set {assignment!r} assigns nothing",
                "name=value",
                "write for example --set inference.backend=torch",
            )
        try:
            values[name.strip()] = parse_yaml(text) if text else ""
        except yaml.YAMLError as error:
            raise ConfigError.from_parts(
                f"--set {assignment!r} holds no YAML value", "name=value", "quote the value"
            ) from error
    return values


def name_parameters(
    assignments: Sequence[str], *, image_topic: str, transport: str, weights: str, backend: str
) -> dict[str, Any]:
    """Return the parameters that options set; topic and transport belong to the first camera.

    Raises:
        ConfigError: an assignment that can't be read.
    """
    parameters = parse_assignments(assignments)
    cameras = parameters.get("camera_names")
    camera = cameras[0] if isinstance(cameras, list) and cameras else "camera"
    named = {
        f"cameras.{camera}.image_topic": image_topic,
        f"cameras.{camera}.transport": transport,
        "model.weights": weights,
        "inference.backend": backend,
    }
    parameters.update({name: value for name, value in named.items() if value})
    return parameters


def check_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters in the types that the node declares.

    Raises:
        ConfigError: a name is unknown or a value is out of its range.
    """
    camera_names = parameters.get("camera_names", NodeSettings().camera_names)
    # A parameter file may name further cameras, so settings of any camera name are accepted.
    named = {name.split(".")[1] for name in parameters if name.count(".") == 2}
    if isinstance(camera_names, list):
        named |= {str(name) for name in camera_names}
    defaults = {row.name: row.default for row in list_parameters(sorted(named))}
    typed = {
        name: float(value)
        if isinstance(defaults.get(name), float) and type(value) is int
        else [float(scale) if type(scale) is int else scale for scale in value]
        if name == "inference.scales" and isinstance(value, list)
        else value
        for name, value in parameters.items()
    }
    NodeSettings.from_flat(typed)
    return typed


def make_ros_arguments(launch: NodeLaunch) -> list[str]:
    """Return `--ros-args ...` for the node.

    Raises:
        ConfigError: the parameter file is missing or a parameter is wrong.
    """
    arguments = ["--ros-args"]
    if launch.params_file:
        if not Path(launch.params_file).is_file():
            raise ConfigError.from_parts(
                f"params_file {launch.params_file!r} does not exist",
                "a YAML file",
                "check the path",
            )
        arguments += ["--params-file", launch.params_file]
    for name, value in check_parameters(launch.parameters).items():
        arguments += ["-p", f"{name}:={json.dumps(value)}"]
    if launch.use_sim_time:
        arguments += ["-p", "use_sim_time:=true"]
    if launch.node_name:
        arguments += ["-r", f"__node:={launch.node_name}"]
    if launch.namespace:
        arguments += ["-r", f"__ns:=/{launch.namespace.strip('/')}"]
    if launch.log_level:
        arguments += ["--log-level", launch.log_level]
    return arguments
