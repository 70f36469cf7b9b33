"""ROS parameters of the node: declared from `config.NodeSettings`, validated as one set."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from proxia_segmentation_ros.config import NodeSettings, ParameterRow, list_parameters
from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.ros.node.topics import check_inputs, check_topics
from proxia_segmentation_ros.ros.qos import QOS_PREFIX, check_override

CHANGE_RULES = {
    "live": "changeable while active",
    "configure": "read at configure",
    "start": "read at start",
}
# Parameters of rclpy itself; any other unknown name in a parameter file is an error.
FOREIGN_NAMES = frozenset({"use_sim_time", "start_type_description_service"})


class NodeParameters:
    """Declares the parameters of a node and validates every change to them.

    An invalid value from a parameter file or the command line does not prevent the node from
    starting: its error is stored, and `settings` raises it until the parameter is set again.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._rows: dict[str, ParameterRow] = {}
        self._refused: dict[str, ConfigError] = {}
        self._overrides = _read_overrides(node)
        self._declare_rows([])
        self._declare_rows(self._read("camera_names"))
        self._refuse_unknown_overrides()

    def settings(self) -> NodeSettings:
        """Return all parameters as settings.

        Raises:
            ConfigError: a file or the command line set an unknown name or a bad value.
        """
        if self._refused:
            raise ConfigError("; ".join(str(error) for error in self._refused.values()))
        settings = NodeSettings.from_flat(self._values())
        check_topics(self._node, settings)
        return settings

    def check_change(
        self, changes: "Sequence[Parameter[Any]]", *, is_configured: bool
    ) -> "list[Parameter[Any]]":
        """Return the changes for rclpy to store, with numbers converted to the declared type.

        Raises:
            ConfigError: a change is invalid; none of the set may be applied.
        """
        own_changes = [change for change in changes if not self._is_foreign(change.name)]
        if not own_changes:
            return list(changes)
        for change in own_changes:
            if change.value is None and change.name in self._rows:
                raise ConfigError.from_parts(
                    f"parameter {change.name!r} was asked to go",
                    "a value for every declared parameter",
                    f"set it to its default, {self._rows[change.name].default!r}",
                )
        values = {
            change.name: _to_plain(change.value)
            for change in own_changes
            if change.value is not None
        }
        for name in values:
            self._check_timing(name, values[name], is_configured)
        settings = NodeSettings.from_flat({**self._values(), **values})
        check_inputs(self._node, settings, only=values)
        return [
            self._make_parameter(change.name, values[change.name])
            if change.name in values
            else change
            for change in changes
            if not self._is_removal_of_refused(change)
        ]

    def accept_change(self, changes: "Iterable[Parameter[Any]]") -> None:
        """Update the internal state after rclpy has stored the changes."""
        for change in changes:
            self._refused.pop(change.name, None)
            if change.name == "camera_names":
                self._declare_rows(list(change.value))
                self._refuse_unknown_overrides()

    def unused_qos_overrides(self) -> list[str]:
        """Return QoS overrides for topics that this node does not have (yet)."""
        return sorted(
            name
            for name in self._overrides
            if name.startswith(QOS_PREFIX) and not self._node.has_parameter(name)
        )

    def _declare_rows(self, camera_names: list[str]) -> None:
        for row in list_parameters(camera_names):
            if row.name in self._rows:
                continue
            self._rows[row.name] = row
            value = self._make_parameter(row.name, self._choose_start_value(row)).value
            self._node.declare_parameter(row.name, value, _describe(row), ignore_override=True)

    def _choose_start_value(self, row: ParameterRow) -> Any:
        value = self._overrides.get(row.name)
        if value is None:
            # Not set, or an empty list: in a parameter file it has no type, and rclpy reads None.
            return row.default
        try:
            NodeSettings.from_flat({row.name: value})
        except ConfigError as error:
            self._refused[row.name] = error
            return row.default
        return value

    def _refuse_unknown_overrides(self) -> None:
        names = self._read("camera_names")
        for name, value in self._overrides.items():
            if name.startswith(QOS_PREFIX):
                self._check_qos(name, value)
            elif name in self._rows:
                if isinstance(self._refused.get(name), _UnknownParameter):
                    del self._refused[name]
            elif not self._is_foreign(name):
                self._refused[name] = _explain_unknown(name, value, names)

    def _check_qos(self, name: str, value: Any) -> None:
        try:
            check_override(name, value)
        except ConfigError as error:
            self._refused[name] = error

    def _check_timing(self, name: str, value: Any, is_configured: bool) -> None:
        row = self._rows.get(name)
        if row is None:
            raise _explain_unknown(name, value, self._read("camera_names"))
        if row.change == "live" or value == self._read(name):
            return
        if row.change == "start":
            raise ConfigError.from_parts(
                f"{name} was asked to become {value!r} in a running node",
                "a value from the parameter file or the command line",
                "start the node with it",
            )
        if is_configured:
            raise ConfigError.from_parts(
                f"{name} was asked to become {value!r} while the node is configured",
                "an unconfigured node for this parameter",
                "deactivate and clean up the node, set it, then configure again",
            )

    def _is_foreign(self, name: str) -> bool:
        return name not in self._rows and (
            name in FOREIGN_NAMES or name.startswith(QOS_PREFIX) or self._node.has_parameter(name)
        )

    def _is_removal_of_refused(self, change: "Parameter[Any]") -> bool:
        # Deleting an unknown parameter of a file lets users correct the mistake without a restart.
        return change.value is None and change.name in self._refused

    def _values(self) -> dict[str, Any]:
        return {name: self._read(name) for name in self._rows}

    def _read(self, name: str) -> Any:
        return _to_plain(self._node.get_parameter(name).value)

    def _make_parameter(self, name: str, value: Any) -> "Parameter[Any]":
        default = self._rows[name].default
        if isinstance(default, float) and isinstance(value, int):
            return Parameter(name, Parameter.Type.DOUBLE, float(value))
        if isinstance(default, list) and not isinstance(next(iter(default), None), str):
            numbers = [float(number) for number in value]
            return Parameter(name, Parameter.Type.DOUBLE_ARRAY, numbers)
        return Parameter(name, value=value)


class _UnknownParameter(ConfigError):  # noqa: N818 - named for what it is about
    """The node has no parameter of this name."""


def _explain_unknown(name: str, value: Any, camera_names: list[str]) -> ConfigError:
    parts = name.split(".")
    if parts[0] == "cameras" and len(parts) == 3 and parts[1] not in camera_names:
        return _UnknownParameter.from_parts(
            f"{name} is {value!r}, but camera_names is {camera_names}",
            "parameters of cameras that camera_names holds",
            f"name one of those cameras, or add {parts[1]!r} to camera_names",
        )
    known = [row.name for row in list_parameters(camera_names)]
    close = get_close_matches(name, known, n=1)
    return _UnknownParameter.from_parts(
        f"parameter {name!r} is unknown",
        f"one of {', '.join(known)}",
        f"did you mean {close[0]!r}?" if close else "check its spelling",
    )


def _describe(row: ParameterRow) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=row.description,
        read_only=row.change == "start",
        additional_constraints=CHANGE_RULES[row.change]
        + (f"; one of {', '.join(row.choices)}" if row.choices else ""),
        # An empty list has no element type in ROS, so its type must stay open.
        dynamic_typing=row.default == [],
    )
    if row.minimum is None or row.maximum is None:
        return descriptor
    if isinstance(row.default, float):
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(row.minimum), to_value=float(row.maximum))
        ]
    elif isinstance(row.default, int):
        descriptor.integer_range = [
            IntegerRange(from_value=int(row.minimum), to_value=int(row.maximum))
        ]
    return descriptor


def _read_overrides(node: Node) -> dict[str, Any]:
    # rclpy has no public access to overrides of undeclared parameters.
    overrides: Mapping[str, Parameter[Any]] = node._parameter_overrides
    return {name: _to_plain(override.value) for name, override in overrides.items()}


def _to_plain(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, array)) else value
