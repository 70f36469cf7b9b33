"""Recipes: the settings of a run, read from YAML and overridden on the command line.

A recipe belongs to one command: `train`, unless its key `command` names another one.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from proxia_segmentation_ros.errors import ConfigError
from proxia_segmentation_ros.labels import parse_yaml
from proxia_segmentation_ros.training.settings import DataSettings as DataSettings
from proxia_segmentation_ros.training.settings import ModelSettings as ModelSettings
from proxia_segmentation_ros.training.settings import OptimiserSettings as OptimiserSettings
from proxia_segmentation_ros.training.settings import Recipe as Recipe
from proxia_segmentation_ros.training.settings import flatten_settings

COMMAND = "command"
TRAIN = "train"
# How to use a recipe of each command, after `proxia`.
USES = {TRAIN: "train", "evaluate": "evaluate --recipe", "segment": "segment --recipe"}
Settings = TypeVar("Settings", bound=BaseModel)
# A setting's dotted name, and its value.
Assignment: TypeAlias = tuple[str, Any]


@dataclass(frozen=True)
class SettingsLayer:
    """Values that override a recipe's, and the name of their origin for messages."""

    origin: str
    assignments: Sequence[Assignment]


@dataclass(frozen=True)
class ResolvedSetting:
    """One setting of a run and the origin of its value: default, recipe or a layer."""

    name: str
    value: Any
    origin: str


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a training recipe, a shipped name or a YAML file, and apply `key.sub=value` overrides.

    Raises:
        ConfigError: no such recipe, unknown key, or value out of range.
    """
    return load_settings(Recipe, TRAIN, name_or_path, [read_overrides(overrides)])


def explain_recipe(
    name_or_path: str | Path, overrides: Sequence[str] = (), smoke_overrides: Sequence[str] = ()
) -> list[ResolvedSetting]:
    """Return every setting that `load_recipe` resolves, in the order of their definition.

    Raises:
        ConfigError: as `load_recipe`.
    """
    layers = [read_overrides(overrides), read_overrides(smoke_overrides, "--smoke")]
    return explain_settings(Recipe, TRAIN, name_or_path, layers)


def list_recipes(command: str = TRAIN) -> list[str]:
    """Return the names of the shipped recipes of a command."""
    folder = resources.files("proxia_segmentation_ros") / "recipes"
    names = sorted(file.name.removesuffix(".yaml") for file in folder.iterdir())
    return [name for name in names if _read_raw(name).get(COMMAND, TRAIN) == command]


def load_settings(
    model: type[Settings],
    command: str,
    name_or_path: str | Path | None = None,
    layers: Sequence[SettingsLayer] = (),
) -> Settings:
    """Return a command's settings: defaults, then the recipe, then the layers, the last one wins.

    Raises:
        ConfigError: no such recipe or one of another command, unknown key, or value out of range.
    """
    raw = _read_of_command(name_or_path, command)
    for layer in layers:
        for name, value in layer.assignments:
            _assign(raw, name, deepcopy(value))
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise _explain_mistake(error, has_recipe=name_or_path is not None) from error


def explain_settings(
    model: type[Settings],
    command: str,
    name_or_path: str | Path | None = None,
    layers: Sequence[SettingsLayer] = (),
) -> list[ResolvedSetting]:
    """Return every setting that `load_settings` resolves, in the order of their definition.

    Raises:
        ConfigError: as `load_settings`.
    """
    settings = load_settings(model, command, name_or_path, layers)
    raw = _read_of_command(name_or_path, command)
    origins = [
        (layer.origin, [name for name, _ in layer.assignments]) for layer in reversed(layers)
    ]
    origins.append(("recipe", list(_list_names(raw))))

    def find_origin(name: str) -> str:
        for origin, names in origins:
            if any(_is_same_or_part(name, assigned) for assigned in names):
                return origin
        return "default"

    flat = flatten_settings(settings)
    return [ResolvedSetting(name, value, find_origin(name)) for name, value in flat.items()]


def read_overrides(overrides: Sequence[str], origin: str = "--set") -> SettingsLayer:
    """Read `key.sub=value` texts, whose values are YAML.

    Raises:
        ConfigError: a text has no value, or its value is no YAML.
    """
    return SettingsLayer(origin, [_read_override(text, origin) for text in overrides])


def _is_same_or_part(name: str, other: str) -> bool:
    """Whether one of two dotted names is the other or a part of it."""
    return f"{name}.".startswith(f"{other}.") or other.startswith(f"{name}.")


def _read_of_command(name_or_path: str | Path | None, command: str) -> dict[str, Any]:
    """Return the settings of a recipe, without its key `command`."""
    if name_or_path is None:
        return {}
    name = str(name_or_path)
    raw = _read_raw(name, command)
    found = str(raw.pop(COMMAND, TRAIN))
    if found != command:
        others = f"run `proxia {USES[found]} {name}`" if found in USES else "correct it"
        raise ConfigError.from_parts(
            f"recipe {name!r} is one of `proxia {found}`",
            f"one of `proxia {command}`, such as {', '.join(list_recipes(command))}",
            f"{others}, or write `{COMMAND}: {command}` into a recipe of your own",
        )
    return raw


def _explain_mistake(error: ValidationError, *, has_recipe: bool) -> ConfigError:
    problem = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"])
    setting = f"{'recipe ' * has_recipe}setting {name}"
    if problem["type"] == "missing":
        return ConfigError.from_parts(
            f"{setting} is not given", "a value", f"write it, or --set {name}=VALUE"
        )
    if problem["type"] == "extra_forbidden":
        return ConfigError.from_parts(
            f"{setting} is unknown", "a setting that --dry-run lists", "correct the name"
        )
    return ConfigError.from_parts(
        f"{setting} is {problem['input']!r}",
        problem["msg"].removeprefix("Input should be "),
        "correct the recipe or the --set option" if has_recipe else "correct the option",
    )


def _list_names(raw: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in raw.items():
        if isinstance(value, dict):
            yield from _list_names(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _read_raw(name_or_path: str, command: str = TRAIN) -> dict[str, Any]:
    try:
        raw = parse_yaml(_read_text(name_or_path, command)) or {}
    except yaml.YAMLError as error:
        raise ConfigError.from_parts(
            f"recipe {name_or_path!r} is no YAML ({error})".replace("\n", " "),
            "settings as `name: value`",
            "correct the file",
        ) from error
    if not isinstance(raw, dict):
        raise ConfigError.from_parts(
            f"recipe {name_or_path!r} holds {raw!r}",
            "settings as `name: value`",
            "correct the file",
        )
    return raw


def _read_text(name_or_path: str, command: str) -> str:
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if not path.is_file():
            raise ConfigError.from_parts(
                f"recipe {name_or_path!r} does not exist", "a YAML file", "check the path"
            )
        return path.read_text(encoding="utf-8")
    folder = resources.files("proxia_segmentation_ros") / "recipes"
    entry = folder / f"{name_or_path}.yaml"
    if not entry.is_file():
        known = list_recipes(command)
        raise ConfigError.from_parts(
            f"recipe {name_or_path!r} is not shipped",
            f"one of {', '.join(known)} or a path that ends in .yaml",
            "pick one",
        )
    return entry.read_text(encoding="utf-8")


def _read_override(override: str, origin: str) -> Assignment:
    name, separator, value = override.partition("=")
    if not separator:
        raise ConfigError.from_parts(
            f"override {override!r} has no value", "name=value", f"write {origin} NAME=VALUE"
        )
    try:
        return name.strip(), parse_yaml(value)
    except yaml.YAMLError as error:
        raise ConfigError.from_parts(
            f"override {override!r} is no YAML ({error})".replace("\n", " "),
            "name=value",
            "correct the value",
        ) from error


def _assign(raw: dict[str, Any], name: str, value: Any) -> None:
    group = raw
    *parents, leaf = name.split(".")
    for parent in parents:
        if group.get(parent) is None:
            group[parent] = {}
        group = group[parent]
        if not isinstance(group, dict):
            raise ConfigError.from_parts(
                f"override {f'{name}={value}'!r} sets a part of {parent}, which is {group!r}",
                "a group of settings there",
                "correct the name before =",
            )
    group[leaf] = value
