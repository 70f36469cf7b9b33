"""The node's ROS parameters: declared from the settings, checked as one set."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from proxia_segmentation_ros.config import NodeSettings, ParameterRow, list_parameters
from proxia_segmentation_ros.errors import ConfigError

CHANGE_RULES = {
    "live": "changeable while active",
    "configure": "read at configure",
    "start": "read at start",
}
# Parameters that rclpy itself reads; everything else that a file sets must be ours.
FOREIGN_NAMES = frozenset({"use_sim_time", "start_type_description_service"})
QOS_PREFIX = "qos_overrides."


class NodeParameters:
    """Hold the declared parameters of a node and judge every change to them.

    A value from a parameter file or the command line that breaks a rule does not stop the node
    from starting: it is kept aside, and `settings` refuses until it was set to something better.
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
        _check_image_topics(settings)
        return settings

    def check_change(
        self, changes: "Sequence[Parameter[Any]]", *, is_configured: bool
    ) -> "list[Parameter[Any]]":
        """Return the changes as rclpy may store them, numbers promoted to the declared type.

        Raises:
            ConfigError: the whole set is refused.
        """
        ours = [change for change in changes if not self._is_foreign(change.name)]
        if not ours:
            return list(changes)
        for change in ours:
            if change.value is None and change.name in self._rows:
                raise ConfigError.from_parts(
                    f"parameter {change.name!r} was asked to go",
                    "a value for every declared parameter",
                    f"set it to its default, {self._rows[change.name].default!r}",
                )
        values = {
            change.name: _to_plain(change.value) for change in ours if change.value is not None
        }
        for name in values:
            self._check_moment(name, values[name], is_configured)
        NodeSettings.from_flat({**self._values(), **values})
        return [
            self._make_parameter(change.name, values[change.name])
            if change.name in values
            else change
            for change in changes
            if not self._is_forgotten(change)
        ]

    def accept_change(self, changes: "Iterable[Parameter[Any]]") -> None:
        """Take note of changes that rclpy stored."""
        for change in changes:
            self._refused.pop(change.name, None)
            if change.name == "camera_names":
                self._declare_rows(list(change.value))
                self._refuse_unknown_overrides()

    def unused_qos_overrides(self) -> list[str]:
        """Return overrides of topics that this node does not have, as of now."""
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
            # Not set, or an empty list, which comes out of a parameter file without a type.
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
            if name in self._rows:
                if isinstance(self._refused.get(name), _UnknownParameter):
                    del self._refused[name]
            elif not self._is_foreign(name):
                self._refused[name] = _explain_unknown(name, value, names)

    def _check_moment(self, name: str, value: Any, is_configured: bool) -> None:
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

    def _is_forgotten(self, change: "Parameter[Any]") -> bool:
        # Deleting a name that only a file set is how a user takes it back without a restart.
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
    """Nobody reads a parameter of this name."""


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


def _check_image_topics(settings: NodeSettings) -> None:
    seen: dict[tuple[str, str], str] = {}
    for name in settings.camera_names:
        camera = settings.camera(name)
        other = seen.setdefault((camera.image_topic, camera.transport), name)
        if other != name:
            raise ConfigError.from_parts(
                f"cameras.{other}.image_topic and cameras.{name}.image_topic are both "
                f"{camera.image_topic!r}",
                "a topic for each camera alone",
                "set one of them",
            )


def _describe(row: ParameterRow) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=row.description,
        read_only=row.change == "start",
        additional_constraints=CHANGE_RULES[row.change]
        + (f"; one of {', '.join(row.choices)}" if row.choices else ""),
        # An empty list has no type of its own in ROS.
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
    # rclpy offers no other way to see overrides of names that nobody declared.
    overrides: Mapping[str, Parameter[Any]] = node._parameter_overrides
    return {name: _to_plain(override.value) for name, override in overrides.items()}


def _to_plain(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, array)) else value
